"""The report in a browser without network: no error, and everything on it that moves. Needs chromium."""

from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from helpers.pages import written_page
from lassl.data.prepared import open_prepared
from lassl.report.browser import PATIENCE, chromium, missing, show
from lassl.report.pictures import save_pictures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason="no chromium; apt-get install chromium chromium-driver"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory, tiny_data) -> Path:
    """The page of the tiny cohort's runs."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return written_page(open_prepared(tiny_data.prepared)).absolute()


@pytest.fixture(scope="module")
def browser(page):
    """The page, opened and drawn."""
    with chromium(1280, 900) as driver:
        show(driver, page)
        yield driver


def until(browser, what) -> None:
    """Wait until something is so."""
    WebDriverWait(browser, PATIENCE).until(lambda _: what())


def one(browser, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def rows(browser) -> list[str]:
    return [e.text for e in browser.find_elements(By.CSS_SELECTOR, "table.sortable tbody th strong")]


def errors(browser) -> list[str]:
    """Console messages since the last call that are errors."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_page_opens_without_error_and_loads_nothing(browser):
    assert errors(browser) == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)"
                                  ".filter(n => !n.startsWith('data:') && !n.startsWith('blob:'))") == []  # fmt: skip
    assert len(browser.find_elements(By.CSS_SELECTOR, ".strip .main-svg")) >= 4
    assert len(browser.find_elements(By.CSS_SELECTOR, ".curve .main-svg")) >= 3


def test_the_table_sorts_by_mouse_and_keyboard(browser):
    ours, other, third = "V-Net & 16L", "CPS & 16L+64UL", "MT+UN & 16L+64UL"
    assert rows(browser) == [ours, other, third]
    dice = browser.find_elements(By.CSS_SELECTOR, "table.sortable thead th")[1]
    button = dice.find_element(By.TAG_NAME, "button")
    button.click()
    assert (dice.get_attribute("aria-sort"), rows(browser)) == ("descending", [other, ours, third])
    button.send_keys(Keys.ENTER)
    assert (dice.get_attribute("aria-sort"), rows(browser)) == ("ascending", [third, ours, other])
    button.send_keys(Keys.ENTER)
    assert (dice.get_attribute("aria-sort"), rows(browser)) == ("none", [ours, other, third])
    assert browser.execute_script("return document.activeElement === arguments[0]", button)
    assert browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", button) == "solid"


def test_a_chosen_case_is_marked_in_all_rows_of_all_four_plots(browser):
    Select(one(browser, "#case-choice")).select_by_visible_text("C7")
    marked = "return [...document.querySelectorAll('.strip')].map(p => p.data.at(-1).y)"
    dice, jaccard, *_ = browser.execute_script(marked)
    assert (dice, jaccard) == ([84, 83, 50], [42, 41.5, 25])
    jaccard_plot = browser.find_elements(By.CSS_SELECTOR, ".strip")[1]
    ActionChains(browser).move_to_element(jaccard_plot.find_element(By.CSS_SELECTOR, ".point")).perform()  # C6
    until(browser, lambda: browser.execute_script(marked)[0] == [80, 90, 60])
    assert one(browser, "#case-choice").get_property("value") == "C6"


def shown(browser) -> dict[str, list]:
    """The rows that each part of the page shows."""
    return browser.execute_script("""
        const all = (selector) => [...document.querySelectorAll(selector)];
        const rows = (selector) => all(selector).filter((e) => e.checkVisibility()).map((e) => e.dataset.row);
        return {
            table: rows("table.sortable tr[data-row]"),
            strip: all(".strip")[1].data.filter((t) => t.customdata).map((t) => t.meta),
            places: all(".strip")[1].layout.xaxis.ticktext,
            curve: all(".curve")[0].data.filter((t, n) => n % 2 && (t.visible ?? true)).map((t) => t.meta),
            legend: rows("#legend span"),
            slices: rows("figure.row"),
            surfaces: all("#surface-row option").filter((e) => !e.disabled).map((e) => e.dataset.row),
        };""")


def test_one_choice_of_rows_governs_every_part_of_the_page(browser):
    ours, other, third = "vnet_16", "cps", "mt_un"  # the third one has no masks or curves
    everything = shown(browser)
    assert everything["table"] == everything["strip"] == [ours, other, third]
    assert all(everything[part] == [ours, other] for part in ("curve", "legend", "slices", "surfaces"))
    box = one(browser, '#choice input[data-row="vnet_16"]')
    box.send_keys(Keys.SPACE)
    two = {"table": [other, third], "strip": [other, third], "places": ["CPS & 16L+64UL", "MT+UN & 16L+64UL"]}
    until(browser, lambda: shown(browser) == {part: [other] for part in everything} | two)
    assert one(browser, "#surface-row").get_property("value") == "1"
    assert one(browser, "#choice .whole").get_property("indeterminate") is True
    group = one(browser, "#choice .whole")
    group.click()
    until(browser, lambda: shown(browser) == everything)
    group.click()
    until(browser, lambda: shown(browser) == {part: [] for part in everything})
    one(browser, '[data-choose="first"]').click()
    until(browser, lambda: shown(browser) == everything)
    assert errors(browser) == []


def test_the_slider_moves_the_picture_and_the_outlines(browser):
    def shown() -> tuple[str, ...]:
        image, path = one(browser, ".slice image"), one(browser, "path.prediction")
        return image.get_attribute("href"), path.get_attribute("d"), one(browser, "#slice-number").text

    before = shown()
    assert before[0].startswith("data:image/jpeg") and before[1].startswith("M")
    one(browser, "#slice").send_keys(Keys.ARROW_RIGHT)
    after = shown()
    assert all(a != b for a, b in zip(before, after, strict=True))
    box = one(browser, ".slice").size
    assert box["width"] > 100 and box["height"] > 100


def test_another_case_is_shown_when_it_is_chosen(browser):
    before = one(browser, ".score").text
    browser.find_elements(By.CSS_SELECTOR, "input[name=view]")[1].send_keys(Keys.SPACE)
    assert (before, one(browser, ".score").text) == ("Dice 80.0 %", "Dice 84.0 %")
    assert "C7" in one(browser, ".slice").get_attribute("aria-label")


def pixels(browser) -> int:
    """Colored pixels of the surface's picture."""
    return browser.execute_async_script("""
        const done = arguments[arguments.length - 1];
        Plotly.toImage(document.getElementById('surface'), {format: 'png', width: 300, height: 300}).then((uri) => {
            const image = new Image();
            image.onload = () => {
                const canvas = document.createElement('canvas');
                [canvas.width, canvas.height] = [300, 300];
                const pen = canvas.getContext('2d');
                pen.drawImage(image, 0, 0);
                const all = pen.getImageData(0, 0, 220, 300).data;  // the color bar is right of it
                let count = 0;
                for (let n = 0; n < all.length; n += 4) count += all[n + 3] > 200;
                done(count);
            };
            image.src = uri;
        });""")


def test_the_surface_is_drawn_and_turns(browser):
    assert one(browser, "#surface .gl-container canvas")
    assert pixels(browser) > 2000
    eye = "return document.getElementById('surface').layout.scene.camera.eye"
    before = browser.execute_script(eye)
    one(browser, '[data-turn="30,0"]').click()
    until(browser, lambda: browser.execute_script(eye) != before)
    assert errors(browser) == []


def test_the_page_is_dark_where_the_reader_wants_it(browser):
    def looks() -> tuple[str, str]:
        back = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return back, browser.execute_script("return document.querySelector('.strip').layout.font?.color")

    def emulate(scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    emulate("light")
    until(browser, lambda: looks() == ("rgb(255, 255, 255)", "#1b1b1b"))
    emulate("dark")
    until(browser, lambda: looks() == ("rgb(21, 23, 26)", "#ececec"))
    assert errors(browser) == []


def test_a_phone_needs_no_sideways_scrolling(browser):
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    wide = "return document.documentElement.scrollWidth"
    until(browser, lambda: browser.execute_script(wide) <= 360)
    assert one(browser, "#slice").size["width"] > 250
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_main_figures_are_saved_as_pictures(page, tmp_path):
    found = save_pictures(page, tmp_path / "figures", "quick")
    assert [path.name for path in found] == [f"quick-{name}.png" for name in ("cases", "curves", "slices", "surface")]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in found)
