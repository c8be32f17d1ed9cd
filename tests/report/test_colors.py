"""Every color stands out from what is behind it, in light and dark: 4.5 for text and 3 for graphics (WCAG 2)."""

import re

import pytest

from helpers.project import ROOT
from lassl.report.colors import GITHUB, LIGHT, THEMES, contrast, variables

pytestmark = pytest.mark.parametrize("theme", THEMES)


def test_black_on_white_has_the_largest_contrast(theme):
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") < 4.5


def test_the_style_sheet_has_no_color_of_its_own_but_the_black_behind_scans(theme):
    css = (ROOT / "lassl/report/page.css").read_text()
    assert set(re.findall(r"#[0-9a-f]{3,8}\b|rgba?\(", css)) <= {"#000"}


@pytest.mark.parametrize("name", ["text", "soft", "accent"])
@pytest.mark.parametrize("behind", ["page", "panel", "band", "github"])
def test_text_can_be_read(theme, name, behind):
    colors = THEMES[theme]
    ground = GITHUB[theme] if behind == "github" else getattr(colors, behind)
    assert contrast(getattr(colors, name), ground) >= 4.5


@pytest.mark.parametrize("behind", ["page", "panel", "band", "github"])
def test_dots_lines_and_surfaces_can_be_seen(theme, behind):
    colors = THEMES[theme]
    ground = GITHUB[theme] if behind == "github" else getattr(colors, behind)
    shown = [colors.dot, colors.reference, colors.inside, colors.outside, *colors.rows]
    assert {color: contrast(color, ground) for color in shown if contrast(color, ground) < 3} == {}


def test_surfaces_can_be_seen_where_they_neither_leave_nor_enter_the_reference(theme):
    assert min(contrast(THEMES[theme].equal, ground) for ground in (THEMES[theme].page, THEMES[theme].panel)) >= 3


def test_of_the_two_lines_of_a_crosshair_one_can_be_seen_on_any_gray(theme):
    grays = [f"#{level:02x}{level:02x}{level:02x}" for level in range(256)]
    assert min(max(contrast("#000000", gray), contrast("#ffffff", gray)) for gray in grays) >= 4.5


def test_the_page_has_a_variable_for_every_color(theme):
    css, references = THEMES[theme].css(), variables()
    assert f"--page: {THEMES[theme].page};" in css and references.page == "var(--page)"
    assert references.rows[-1] == f"var(--row{len(LIGHT.rows) - 1})" and f"--row{len(LIGHT.rows) - 1}:" in css
