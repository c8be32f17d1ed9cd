"""The report in a browser without network: no error, and everything on it that moves. Needs chromium."""

import csv
from pathlib import Path

import numpy as np
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


def press(browser, selector: str) -> None:
    """Press what may be out of sight or folded away."""
    browser.execute_script("arguments[0].click()", one(browser, selector))


def rows(browser) -> list[str]:
    return [e.text for e in browser.find_elements(By.CSS_SELECTOR, "#table tbody th strong")]


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
    dice = browser.find_elements(By.CSS_SELECTOR, "#table thead th")[1]
    button = dice.find_element(By.TAG_NAME, "button")
    button.click()
    assert (dice.get_attribute("aria-sort"), rows(browser)) == ("descending", [other, ours, third])
    button.send_keys(Keys.ENTER)
    assert (dice.get_attribute("aria-sort"), rows(browser)) == ("ascending", [third, ours, other])
    button.send_keys(Keys.ENTER)
    assert (dice.get_attribute("aria-sort"), rows(browser)) == ("none", [ours, other, third])
    assert browser.execute_script("return document.activeElement === arguments[0]", button)
    assert browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", button) == "solid"


def test_a_case_that_is_pointed_at_is_marked_in_all_plots_and_a_click_opens_its_masks(browser):
    marked = "return [...document.querySelectorAll('.strip')].map(p => p.data.at(-1).y)"
    press(browser, "#cases tr[data-case=C7] .open")
    until(browser, lambda: browser.execute_script("return document.body.dataset.view") == "C7")
    dice, jaccard, *_ = browser.execute_script(marked)
    assert (dice, jaccard) == ([84, 83, 50], [42, 41.5, 25])
    strip = one(browser, ".strip")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", strip)
    point = strip.find_element(By.CSS_SELECTOR, ".point")  # C6
    ActionChains(browser).move_to_element(point).perform()
    until(browser, lambda: browser.execute_script(marked)[0] == [80, 90, 60])
    assert one(browser, "#cases tr.chosen").get_attribute("data-case") == "C6"
    ActionChains(browser).click().perform()
    until(browser, lambda: browser.execute_script("return document.body.dataset.view") == "C6")
    assert errors(browser) == []


def cases_shown(browser) -> list[str]:
    return [e.text for e in browser.find_elements(By.CSS_SELECTOR, "#cases tbody tr") if e.is_displayed()]


def test_cases_are_sorted_and_filtered_and_told_for_one_row(browser):
    assert cases_shown(browser) == ["C6 76.67 38.33 1.00 2.00", "C7 72.33 36.17 1.00 2.00"]
    Select(one(browser, "#case-row")).select_by_visible_text("V-Net & 16L")
    assert cases_shown(browser) == ["C6 80.00 40.00 1.00 2.00", "C7 84.00 42.00 1.00 2.00"]
    press(browser, "#cases thead th:nth-child(2) button")
    assert [line[:2] for line in cases_shown(browser)] == ["C7", "C6"]
    most = one(browser, "#case-most")
    browser.execute_script("arguments[0].value = 82; arguments[0].dispatchEvent(new Event('input'))", most)
    assert [line[:2] for line in cases_shown(browser)] == ["C6"]
    browser.execute_script("arguments[0].value = 100; arguments[0].dispatchEvent(new Event('input'))", most)
    one(browser, "#case-name").send_keys("7")
    assert [line[:2] for line in cases_shown(browser)] == ["C7"]
    one(browser, "#case-name").send_keys(Keys.BACKSPACE)
    Select(one(browser, "#case-row")).select_by_index(0)


def downloaded(browser, folder: Path, what: str) -> list[list[str]]:
    """The CSV that a button gives."""
    browser.execute_cdp_cmd("Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    press(browser, f"[data-csv={what}]")
    path = folder / f"quick-{what}.csv"
    until(browser, path.is_file)
    return list(csv.reader(path.read_text().splitlines()))


def test_the_table_and_the_cases_are_downloaded_as_csv(browser, tmp_path):
    table = downloaded(browser, tmp_path, "table")
    assert table[0][:2] == ["Method", "Dice [%]"] and "published Dice [%]" in table[0]
    assert [line[0] for line in table[1:]] == ["V-Net & 16L", "CPS & 16L+64UL", "MT+UN & 16L+64UL"]
    assert table[2][1] == "86.50 ± 4.95 [83.00, 90.00]" and {len(line) for line in table} == {len(table[0])}
    found = downloaded(browser, tmp_path, "cases")
    assert found[0] == ["case", "row", "Dice [%]", "Jaccard [%]", "ASD [voxel]", "95HD [voxel]"]
    assert ["C7", "MT+UN & 16L+64UL", "50", "25", "1", "2"] in found and len(found) == 7


def test_more_columns_are_shown_on_demand_and_the_first_ones_fit(browser):
    wide = "const t = document.querySelector('#table'); return [t.scrollWidth, t.parentElement.clientWidth]"
    needed, room = browser.execute_script(wide)
    assert needed <= room
    press(browser, "#more")
    assert one(browser, "#table th.more").is_displayed() and one(browser, "#more").text == "Fewer columns"
    press(browser, "#more")
    assert not one(browser, "#table th.more").is_displayed()


def shown(browser) -> dict[str, list]:
    """The rows that each part of the page shows."""
    return browser.execute_script("""
        const all = (selector) => [...document.querySelectorAll(selector)];
        const rows = (selector) => all(selector).filter((e) => e.checkVisibility()).map((e) => e.dataset.row);
        return {
            table: rows("#table tr[data-row]"),
            strip: all(".strip")[1].data.filter((t) => t.customdata).map((t) => t.meta),
            places: all(".strip")[1].layout.xaxis.ticktext,
            curve: all(".curve")[0].data.filter((t, n) => n % 2 && t.visible).map((t) => t.meta),
            legend: rows("#legend span"),
            overlays: rows("#overlays [data-row]"),
            surfaces: all("#surface-row option").filter((e) => !e.disabled).map((e) => e.dataset.row),
        };""")


def test_one_choice_of_rows_governs_every_part_of_the_page(browser):
    ours, other, third = "vnet_16", "cps", "mt_un"  # the third one has no masks or curves
    everything = shown(browser)
    assert everything["table"] == everything["strip"] == [ours, other, third]
    assert all(everything[part] == [ours, other] for part in ("curve", "legend", "overlays", "surfaces"))
    press(browser, "#choice summary")
    box = one(browser, '#choice input[data-row="vnet_16"]')
    box.send_keys(Keys.SPACE)
    two = {"table": [other, third], "strip": [other, third], "places": ["CPS & 16L+64UL", "MT+UN & 16L+64UL"]}
    until(browser, lambda: shown(browser) == {part: [other] for part in everything} | two)
    assert one(browser, "#surface-row").get_property("value") == "cps"
    assert one(browser, "#choice .whole").get_property("indeterminate") is True
    group = one(browser, "#choice .whole")
    group.click()
    until(browser, lambda: shown(browser) == everything)
    group.click()
    until(browser, lambda: shown(browser) == {part: [] for part in everything})
    one(browser, '[data-choose="first"]').click()
    until(browser, lambda: shown(browser) == everything)
    assert errors(browser) == []


def canvas(browser, plane: int) -> list[int]:
    """The pixels of a plane."""
    return browser.execute_script(
        "const c = document.querySelectorAll('.plane canvas')[arguments[0]];"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]",
        plane,
    )


def slices(browser) -> list[int]:
    return [int(e.text) for e in browser.find_elements(By.CSS_SELECTOR, ".plane output")]


def test_planes_move_by_slider_arrows_and_click(browser):
    z, y, x = slices(browser)
    before = canvas(browser, 0)
    one(browser, ".plane input").send_keys(Keys.ARROW_RIGHT)
    assert slices(browser) == [z + 1, y, x] and canvas(browser, 0) != before
    axial = one(browser, ".plane canvas")
    axial.send_keys(Keys.PAGE_DOWN, Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    assert slices(browser) == [z, y + 1, x - 1]
    assert browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", axial) == "solid"
    coronal = browser.find_elements(By.CSS_SELECTOR, ".plane canvas")[1]
    coronal.send_keys(Keys.ARROW_UP)
    assert slices(browser) == [z + 1, y + 1, x - 1]
    ActionChains(browser).move_to_element_with_offset(axial, -axial.size["width"] // 4, 0).click().perform()
    assert slices(browser)[2] < x - 1 and slices(browser)[0] == z + 1
    press(browser, "#reset")
    assert slices(browser) == [z, y, x]


def colored(browser, rgb: tuple[int, int, int]) -> int:
    """Pixels of the axial plane near a color."""
    values = np.array(canvas(browser, 0)).reshape(-1, 4)[:, :3]
    return int((np.abs(values - rgb).max(1) < 30).sum())


def test_outlines_of_several_rows_and_the_map_of_differences_are_drawn_in_their_colors(browser):
    second = "#overlays input[value=cps]"
    reference, orange = (247, 239, 106), (230, 159, 0)
    assert colored(browser, reference) > 20 and colored(browser, orange) == 0
    press(browser, second)
    assert colored(browser, orange) > 20
    press(browser, second)
    assert colored(browser, orange) == 0
    Select(one(browser, "#mode")).select_by_visible_text("differences")
    Select(one(browser, "#of-row")).select_by_visible_text("CPS & 16L+64UL")
    assert colored(browser, reference) == 0
    assert one(browser, "#view-note").text.endswith("differences: CPS & 16L+64UL minus reference")
    assert one(browser, "#difference-key").is_displayed()
    Select(one(browser, "#mode")).select_by_visible_text("uncertainty")
    assert one(browser, "#view-note").text.endswith("no probability was kept for this row")
    Select(one(browser, "#mode")).select_by_visible_text("outlines")


def test_window_and_zoom_change_the_pictures(browser):
    before = canvas(browser, 1)
    bright, zoom = one(browser, "#bright"), one(browser, "#zoom")
    bright.send_keys(*[Keys.PAGE_DOWN] * 4)
    windowed = canvas(browser, 1)
    assert np.mean(windowed) > np.mean(before)
    zoom.send_keys(Keys.ARROW_RIGHT)
    assert canvas(browser, 1) != windowed
    press(browser, "#reset")
    np.testing.assert_allclose(canvas(browser, 1), before, atol=3)


def test_another_case_is_shown_when_it_is_chosen(browser):
    first = one(browser, "#overlays .score").text
    press(browser, "#next")
    until(browser, lambda: one(browser, "#overlays .score").text != first)
    assert {first, one(browser, "#overlays .score").text} == {"80.0 %", "84.0 %"}
    press(browser, "#previous")
    until(browser, lambda: one(browser, "#overlays .score").text == first)
    assert errors(browser) == []


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
    phone = {"width": 420, "height": 900, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    wide = "return document.documentElement.scrollWidth"
    until(browser, lambda: browser.execute_script(wide) <= 420)
    assert one(browser, ".plane input").size["width"] > 250
    assert browser.execute_script("return document.documentElement.scrollHeight") <= 6 * 900
    assert one(browser, ".narrow-only").is_displayed() and not one(browser, ".wide-only").is_displayed()
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_main_figures_are_saved_as_pictures(page, tmp_path):
    found = save_pictures(page, tmp_path / "figures", "quick")
    assert [path.name for path in found] == [f"quick-{name}.png" for name in ("cases", "curves", "slices", "surface")]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000 for path in found)
