"""The main figures of a report as PNG files."""

from pathlib import Path

from selenium.webdriver.common.by import By

from lassl.plumbing.errors import LasslError
from lassl.report.browser import chromium, show

SELECTORS = {"cases": ".strip", "curves": "#training", "slices": ".scan", "surface": "#surface"}
WIDTH = 1280  # pixels


def save_pictures(page: Path, folder: Path, profile: str) -> list[Path]:
    """Write a picture of each figure that the page has; gives their paths. Raises LasslError."""
    if not page.is_file():
        raise LasslError(f"{page}: not found; `dvc repro report` makes it")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with chromium(WIDTH, 900) as driver:
        show(driver, page)
        height = driver.execute_script("return document.documentElement.scrollHeight")
        driver.set_window_size(WIDTH, height + 500)  # all of the page in the window, its own bars included
        for name, selector in SELECTORS.items():
            for element in driver.find_elements(By.CSS_SELECTOR, selector)[:1]:
                paths.append(folder / f"{profile}-{name}.png")
                element.screenshot(str(paths[-1]))
    return paths
