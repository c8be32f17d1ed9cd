"""A browser without screen or network that opens a page from disk. Needs chromium, chromedriver and selenium."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from lassl.plumbing.errors import LasslError

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu-sandbox", "--disable-dev-shm-usage", "--use-gl=angle",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip
PROGRAMS = ("chromium", "chromedriver")
PATIENCE = 120  # seconds; software WebGL on a busy machine is slow


def missing() -> list[str]:
    """Programs that are not on this machine."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def chromium(width: int, height: int) -> Iterator[webdriver.Chrome]:
    """Start a browser with a window of so many pixels. Raises LasslError where there is none."""
    if missing():
        raise LasslError(f"found no {' and no '.join(missing())}; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as folder:
        for flag in (*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={folder}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            driver.set_page_load_timeout(PATIENCE)
            driver.set_script_timeout(PATIENCE)
            yield driver
        finally:
            driver.quit()


def show(driver: webdriver.Chrome, page: Path) -> None:
    """Open a report, and wait until its figures are drawn."""
    driver.get(page.absolute().as_uri())
    wait = WebDriverWait(driver, PATIENCE)
    wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "body[data-drawn]"))
    if driver.find_elements(By.CSS_SELECTOR, "#surface"):
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#surface canvas"))
