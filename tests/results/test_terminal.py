"""What a terminal shows of a profile's results."""

import io
import json
import sys
from pathlib import Path

import pytest

from helpers.command import lassl
from helpers.project import ROOT, committed
from helpers.runs import NAN, PROFILE, PUBLISHED, STATISTICS, cases, write_run
from lassl.plumbing.errors import LasslError
from lassl.results import table, terminal
from lassl.settings import config

COMMITTED = sorted(path.parent.name for path in committed().glob("metrics/*/table.json"))


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to, and no settings of a terminal."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def shown(capsys, statistics=STATISTICS) -> str:
    """What is printed of the runs that were written."""
    table.table(PROFILE, statistics, ROOT / "metrics/published.yaml")
    terminal.show(PROFILE)
    return capsys.readouterr().out


def test_a_row_has_dice_with_its_interval_the_other_scores_and_the_published_dice(capsys):
    write_run("vnet_80", scores=cases((80, 90, 85), (1, 4, 2.5)), steps=300)
    lines = shown(capsys).splitlines()
    (row,) = (line for line in lines if line.startswith("V-Net & 80L"))
    assert row.split() == ["V-Net", "&", "80L", "85.0", "[80.0,", "90.0]", "42.5", "2.5", "5.0", "89.0"]
    (heads,) = (line for line in lines if line.startswith("Method"))
    assert heads.split() == ["Method", "Dice", "Jaccard", "ASD", "95HD", "Dice"]
    assert any("over 3 test cases [95 % interval of the mean] after 300 training steps" in line for line in lines)


@pytest.mark.parametrize("profile", COMMITTED)
def test_every_committed_table_fits_in_80_columns_with_each_row_on_a_line(capsys, monkeypatch, profile):
    monkeypatch.chdir(committed())
    terminal.show(profile)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = json.loads(Path(f"metrics/{profile}/table.json").read_text())["rows"].values()
    column = any(row["published"] for row in rows)  # of published figures
    for row in rows:
        (line,) = (line for line in lines if line.startswith(f"{row['title']} "))
        last = row["published"].get("dice") if column else row["scores"]["hd95"]["mean"]
        assert line.endswith(" -" if last is None else f" {last:.1f}")


def test_a_long_title_is_folded_and_the_scores_stay_whole(capsys):
    evaluation = {"network": "ensemble", "largest_component": True, "failures": "diagonal"}
    write_run("mt_un_lovasz", scores=cases(network="ensemble", parts="largest"), evaluation=evaluation)
    lines = shown(capsys).splitlines()
    assert max(map(len, lines)) <= 80
    assert any("85.0 [80.0, 90.0]" in line for line in lines) and "…" not in "".join(lines)
    words = " ".join(line.split("  ")[0].strip() for line in lines)
    assert "largest component only" in words and "failures: diagonal" in words


def test_what_is_synthetic_or_of_reduced_scale_is_labelled_so(capsys):
    write_run()
    text = shown(capsys)
    assert "Cohort synthetic (synthetic phantoms, not patients), volumes pooled by 2." in text
    assert "Published: on the real scans at full resolution." in " ".join(text.split())
    real = STATISTICS.model_copy(update={"scans": "real"})
    assert "Cohort synthetic (real scans), volumes pooled by 2." in shown(capsys, real)


def test_scores_of_training_cases_are_called_so(capsys):
    write_run("cps", tuning=2, variant="-tuning")
    table.table(f"{PROFILE}-tuning", STATISTICS, ROOT / "metrics/published.yaml")
    terminal.show(f"{PROFILE}-tuning")
    text = " ".join(capsys.readouterr().out.split())
    assert "Scores of 2 training cases held back to choose settings, not of test cases." in text
    assert "Means over 2 training cases held back to choose settings [95 %" in text and "ublished" not in text


def test_on_somebodys_own_scans_no_column_is_of_published_figures(capsys):
    write_run(cohort=("kidney", "aa"))
    text = shown(capsys, STATISTICS.model_copy(update={"scans": "real", "published": False}))
    assert "ublished" not in text and "Cohort kidney (real scans), volumes pooled by 2." in text


def test_it_is_told_that_one_training_says_nothing_about_methods_and_what_pairs_can_show(capsys):
    for method, dice in (("vnet_16", (70, 70, 70)), ("cps", (71, 72, 75))):
        write_run(method, label_split=1, seed=1, scores=cases(dice))
    one = "One training per row says nothing about the methods."
    assert one in " ".join(shown(capsys).split())
    for method, dice in (("vnet_16", (70, 70, 70)), ("cps", (72, 72, 74))):
        write_run(method, label_split=2, seed=2, scores=cases(dice))
    text = " ".join(shown(capsys).split())
    assert one not in text and "The difference of a pair varies by " in text and "2 pairs can detect a diff" in text


def test_failed_cases_and_rows_that_cannot_be_compared_are_told(capsys):
    write_run("cps", scores=cases((0, 90), (NAN, 4)))
    write_run("mt_un", scores=cases((0, 0), (NAN, NAN)), lr=0.003)
    text = " ".join(shown(capsys).split())
    assert "Failed cases (empty predictions): CPS & 16L+64UL 1, MT+UN & 16L+64UL 2." in text
    assert "The rows have different settings (see table.json) and cannot be compared." in text
    assert "0.0 [0.0, 0.0] 0.0 - - 87.2" in text and "**" not in text


def test_the_whole_table_and_the_page_are_named_last(capsys):
    write_run()
    *_, table_line, page_line, note = shown(capsys).splitlines()
    assert table_line == f"Full table:  metrics/{PROFILE}/table.md"
    assert page_line == f"Page:        report/{PROFILE}/index.html"
    assert note.strip() == "not found; set this profile in params.yaml and run `dvc repro`"
    terminal.show(PROFILE, absent="comes next")
    assert capsys.readouterr().out.splitlines()[-1].strip() == "comes next"
    page = Path("report") / PROFILE / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert shown(capsys).splitlines()[-1] == f"Page:        report/{PROFILE}/index.html"


@pytest.mark.parametrize(("encoding", "rule"), [("ascii", "---"), ("latin-1", "---"), ("utf-8", "───")])
def test_piped_it_has_no_colour_codes_and_no_characters_that_the_encoding_lacks(monkeypatch, encoding, rule):
    write_run()
    table.table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    piped = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", piped)
        terminal.show(PROFILE)
    text = piped.buffer.getvalue().decode(encoding)
    assert "\x1b" not in text and text.count(rule) > 5
    assert text.isascii() == (encoding != "utf-8")


def test_a_title_with_brackets_is_shown_as_it_is(capsys, monkeypatch):
    write_run("cps")
    row = {**PUBLISHED["rows"]["cps"], "title": "[red]CPS[/] :smile:"}
    Path("published.yaml").write_text(json.dumps({"rows": {"cps": row}, "field": {}, "notes": {}}))
    table.table(PROFILE, STATISTICS, Path("published.yaml"))
    terminal.show(PROFILE)
    assert "[red]CPS[/] :smile: " in capsys.readouterr().out


def test_it_shows_the_profile_that_is_named_or_else_that_of_params_and_computes_nothing(capsys, monkeypatch):
    write_run()
    expected = shown(capsys)
    monkeypatch.setattr(table, "build", None)
    monkeypatch.setattr(
        "lassl.settings.config.load", lambda: config.Config.model_construct(profile=PROFILE, variant="")
    )
    for arguments in ([], [PROFILE]):
        lassl("show", *arguments)
        assert capsys.readouterr().out == expected


def test_a_table_that_is_not_there_or_damaged_is_named_with_its_remedy():
    with pytest.raises(LasslError, match=r"metrics/nothing/table\.json: not found; create it with `dvc repro`"):
        terminal.show("nothing")
    path = Path("metrics/damaged/table.json")
    path.parent.mkdir(parents=True)
    path.write_text('{"rows": ')
    with pytest.raises(LasslError, match=r"metrics/damaged/table\.json: not a table of results \(Invalid JSON: EOF "):
        terminal.show("damaged")
