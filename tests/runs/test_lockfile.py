"""dvc.lock stays short: entries of other profiles, splits and seeds are put away beside metrics, and come back."""

from pathlib import Path

import pytest
import yaml

from helpers.runs import CONFIG
from lassl.plumbing.errors import LasslError
from lassl.runs.lockfile import stages_file, sync_lock, unnamed_models
from lassl.settings.config import Config

LOCK = Path("dvc.lock")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config(profile: str = "quick", label_splits: tuple[int, ...] = (0,), seeds: tuple[int, ...] = (0,)) -> Config:
    return CONFIG.model_copy(update={"profile": profile, "label_splits": label_splits, "seeds": seeds})


def entry(*paths: str, md5: str = "aa") -> dict:
    return {"cmd": "python -m pipeline.x", "outs": [{"path": path, "hash": "md5", "md5": md5} for path in paths]}


def run(profile: str, name: str) -> dict[str, dict]:
    method, label_split, seed = name.rsplit("-", 2)
    key = f"{profile}-{method}-{label_split[1:]}-{seed[1:]}"
    return {
        f"train@{key}": entry(f"models/{profile}/{name}.pt", f"curves/{profile}/{name}"),
        f"evaluate@{key}": entry(f"predictions/{profile}/{name}"),
        f"publish@{key}": entry(f"metrics/{profile}/{name}.csv", f"metrics/{profile}/records/{name}.yaml"),
        f"fields@{key}-whole": entry(f"metrics/{profile}/fields/{name}-whole.csv"),
    }


def shared(profile: str) -> dict[str, dict]:
    return {
        f"table@{profile}": entry(f"metrics/{profile}/table.json"),
        f"report@{profile}": entry(f"report/{profile}"),
    }


ALWAYS = {"code": entry("build/code"), "prepare@la2018": entry("data/prepared/la2018")}


def write(stages: dict[str, dict], path: Path = LOCK) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def stages(path: Path = LOCK) -> dict[str, dict]:
    return yaml.safe_load(path.read_text())["stages"]


def test_what_is_of_another_profile_is_stages_file_and_comes_back_as_it_was():
    quick, compact = run("quick", "cps-d0-s0") | shared("quick"), run("compact", "mt_un-d0-s0") | shared("compact")
    write(ALWAYS | quick | compact)
    sync_lock(config("quick"))
    assert stages() == ALWAYS | quick
    assert stages(stages_file("compact")) == compact
    sync_lock(config("compact"))
    assert stages() == ALWAYS | compact
    assert stages(stages_file("quick")) == quick


def test_a_profile_whose_name_begins_another_is_not_mixed_up_with_it():
    write(run("compact", "cps-d0-s0") | run("compact-again", "cps-d0-s0"))
    sync_lock(config("compact"))
    assert stages() == run("compact", "cps-d0-s0")
    assert stages(stages_file("compact-again")) == run("compact-again", "cps-d0-s0")


def test_other_methods_of_a_profile_stay_and_other_draws_and_seeds_wait():
    write(
        run("quick", "vnet_16-d0-s0")
        | run("quick", "mine-d0-s0")
        | run("quick", "cps-d1-s0")
        | run("quick", "cps-d0-s12")
    )
    sync_lock(config("quick"))
    assert stages() == run("quick", "vnet_16-d0-s0") | run("quick", "mine-d0-s0")
    sync_lock(config("quick", label_splits=(0, 1), seeds=(0, 12)))
    assert len(stages()) == 16


def test_an_entry_that_was_made_anew_takes_the_place_of_the_one_stages_file():
    old, new = entry("models/compact/cps-d0-s0.pt"), entry("models/compact/cps-d0-s0.pt", md5="bb")
    write({"train@compact-cps-0-0": old, "train@compact-mt_un-0-0": entry("models/compact/mt_un-d0-s0.pt")})
    sync_lock(config("quick"))
    write({"train@compact-cps-0-0": new})
    sync_lock(config("quick"))
    assert stages(stages_file("compact"))["train@compact-cps-0-0"] == new
    assert len(stages(stages_file("compact"))) == 2
    write({"train@compact-cps-0-0": old})
    sync_lock(config("compact"))
    assert stages()["train@compact-cps-0-0"] == old  # what dvc.lock says is newer than what waits


def test_nothing_is_written_where_nothing_moves():
    write(ALWAYS | run("quick", "cps-d0-s0"))
    before = LOCK.read_bytes(), LOCK.stat().st_mtime_ns
    sync_lock(config("quick"))
    assert (LOCK.read_bytes(), LOCK.stat().st_mtime_ns) == before
    assert not Path("metrics").exists()


def test_a_project_without_a_lock_has_nothing_to_settle():
    sync_lock(config("quick"))
    assert not LOCK.exists()


def test_a_file_that_is_no_yaml_is_named_and_nothing_is_moved():
    write(run("quick", "cps-d0-s0") | run("compact", "cps-d0-s0"))
    before = LOCK.read_bytes()
    stages_file("compact").parent.mkdir(parents=True)
    stages_file("compact").write_text("stages: [")
    with pytest.raises(LasslError, match=r"metrics/compact/stages.yaml: not valid YAML (?s:.*)git checkout"):
        sync_lock(config("quick"))
    assert LOCK.read_bytes() == before


def test_models_that_only_the_cache_still_has_are_found():
    def trained(profile: str, name: str, md5: str) -> dict[str, dict]:
        method, label_split, seed = name.rsplit("-", 2)
        return {f"train@{profile}-{method}-{label_split[1:]}-{seed[1:]}": entry(f"models/{profile}/{name}.pt", md5=md5)}

    write(trained("quick", "cps-d0-s0", "11aa") | trained("quick", "mine-d0-s0", "22bb"))
    write(trained("compact", "cps-d0-s0", "33cc") | trained("compact", "cps-d1-s0", "44dd"), stages_file("compact"))
    cache = Path("cache")
    for md5 in ("11aa", "22bb", "33cc"):
        path = cache / "files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True)
        path.touch()
    assert unnamed_models(config("quick"), cache) == ["models/compact/cps-d0-s0.pt", "models/quick/mine-d0-s0.pt"]
