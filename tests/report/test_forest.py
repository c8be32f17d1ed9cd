"""The forest plot: its marks, their places, and that the committed plots are those of the committed tables."""

import re
from xml.etree import ElementTree

import pytest

from helpers.command import lassl
from helpers.project import ROOT
from helpers.runs import PROFILE, STATISTICS, built, cases, write_run
from lassl.plumbing.errors import LasslError
from lassl.report.colors import LIGHT
from lassl.report.forest import NARROW, Plot, forest, save_forest, training_alone
from lassl.results.table import table
from lassl.statistics.trainings import Deviation

PICTURES = sorted((ROOT / "docs/figures").glob("forest-*-light.svg"))


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def texts(svg: str) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def tips(svg: str) -> list[str]:
    """What each row's line says when it is pointed at."""
    return [found for found in re.findall("<g.*?<title>(.*?)</title>", svg)]


def test_a_row_of_one_training_has_a_hollow_dot_and_no_interval():
    write_run("vnet_16", scores=cases((80, 90)))
    write_run("cps", scores=cases((82, 93)))
    svg = forest(built(), LIGHT)
    (line,) = re.findall("<g .*</g>", svg)
    assert 'fill="none"' in line and "<path" not in line
    assert tips(svg) == ["CPS &amp; 16L+64UL: +2.50 points, one training"]
    assert "0 = V-Net & 16L, Dice 85.00 %" in texts(svg)
    assert any(words.startswith("○: one training") for words in texts(svg))
    assert not any("two or more" in words or words.startswith("Band") for words in texts(svg))


def test_a_row_of_two_pairs_has_the_interval_that_counts_trainings():
    for seed, gain in ((0, 1), (1, 3)):
        write_run("vnet_16", 0, seed, cases((80, 90)))
        write_run("cps", 0, seed, cases((80 + gain, 90 + gain)))
    found = built()
    test = found.rows["cps"].against_baseline["dice"].trainings
    svg = forest(found, LIGHT)
    low, high = map(float, re.search(r'<path d="M([\d.]+) 0H([\d.]+)"', svg).groups())
    place = float(re.search(r'<circle cx="([\d.]+)"', svg).group(1))
    zero = float(re.search(r'<path d="M([\d.]+) [\d.]+V[\d.]+" stroke="#1b1b1b"', svg).group(1))
    per_point = (place - zero) / 2.0
    assert low == pytest.approx(zero + test.low * per_point, abs=0.2)
    assert high == pytest.approx(zero + test.high * per_point, abs=0.2)
    assert "2 pairs of trainings" in tips(svg)[0] and not any("one training" in words for words in texts(svg))


def test_the_band_is_the_interval_of_two_trainings_that_differ_by_nothing():
    write_run("vnet_16")
    write_run("cps")
    found = built()
    known = Deviation(value=1.0, freedom=13, low=0.7, high=1.6)
    design = found.design.model_copy(update={"training": known})
    told = found.model_copy(update={"design": design})
    assert training_alone(told) == pytest.approx(2.1604 * 2**0.5, rel=1e-4)  # t with 13 degrees of freedom
    assert any("within ±3.1 points" in words for words in texts(forest(told, LIGHT)))


def test_every_text_of_the_narrow_plot_fits_its_width():
    write_run("vnet_16")
    write_run("mt_un_lovasz")
    svg = forest(built(), LIGHT, NARROW)
    assert max(map(len, texts(svg))) * NARROW[1] * 0.52 <= NARROW[0]
    assert len("MT+UN+Lovasz & 16L+64UL") * NARROW[1] * 0.56 <= Plot(*NARROW, 0, 1).left


def test_a_table_without_a_row_to_compare_has_no_plot_and_the_command_says_so(tmp_path):
    write_run("vnet_16")
    assert forest(built(), LIGHT) == ""
    table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    with pytest.raises(LasslError, match=f"{PROFILE}: found no row beside vnet_16 to compare it with"):
        lassl("forest", PROFILE, "-o", tmp_path / "plots")
    assert not (tmp_path / "plots").exists()


def test_some_forest_plot_is_committed():
    assert PICTURES


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_committed_forest_plots_are_those_of_the_committed_tables(picture, tmp_path, monkeypatch):
    profile = picture.stem.removeprefix("forest-").removesuffix("-light")
    monkeypatch.chdir(ROOT)
    for path in save_forest(profile, tmp_path):
        assert path.read_text() == (ROOT / "docs/figures" / path.name).read_text(), f"`lassl forest {profile}`"
