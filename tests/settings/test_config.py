"""params.yaml: its composition from conf/ and its checks. The rows of the table are in test_rows.py."""

import copy
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import load_yaml

from helpers.command import lassl
from helpers.project import PARAMS_FILE, ROOT, default_params
from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.yaml_text import yaml_text
from lassl.settings import conf_files
from lassl.settings.compose import compose
from lassl.settings.config import Config, load
from pipeline import ready

PARAMS = default_params()
PUBLISHED = yaml.safe_load((ROOT / "metrics/published.yaml").read_text())
PROFILES = sorted(path.stem for path in (ROOT / "conf/profile").glob("*.yaml"))
FLAWS = sorted(path.stem for path in (ROOT / "conf/flaw").glob("*.yaml"))


@pytest.fixture
def composed(tmp_path, monkeypatch):
    """Compose conf/ with overrides into a file, as from the project's folder."""
    monkeypatch.chdir(ROOT)

    def composed(*overrides: str) -> Path:
        compose(tmp_path / "params.yaml", *overrides)
        return tmp_path / "params.yaml"

    return composed


@pytest.fixture
def refusal(tmp_path):
    """Change copies of the committed values and give the lines of the error that reading them raises."""

    def refusal(change) -> list[str]:
        values = copy.deepcopy(PARAMS)
        change(values)
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(values))
        with pytest.raises(LasslError) as error:
            load(path)
        lines = str(error.value).splitlines()
        assert all(line.startswith(f"{path}: ") for line in lines)
        return [line.removeprefix(f"{path}: ") for line in lines]

    return refusal


def table() -> Config:
    return load(PARAMS_FILE)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("profile: quick".encode("utf-16"), "found byte 0xff at position 0, expected text in UTF-8; save it"),
        ("profile: schön".encode("latin-1"), "found byte 0xf6 at position 12, expected text in UTF-8; save it"),
        (b"train:\n  lr: 1\n  steps: 2\n  lr: 3\n", "not valid YAML (the key lr occurs twice, line 4); fix it"),
        (b"a: [1\nb: 2\n", "not valid YAML (did not find expected ',' or ']', line 2); fix it"),
    ],
)
def test_a_text_that_cannot_be_read_in_one_way_alone_is_told_in_params_yaml_and_in_conf(
    tmp_path, monkeypatch, content, told
):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(LasslError) as error:
        load(tmp_path / "params.yaml")
    assert str(error.value).startswith(f"{tmp_path / 'params.yaml'}: {told}") and "\n" not in str(error.value)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf/profile/mine.yaml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LasslError) as error:
        compose(tmp_path / "composed.yaml", "profile=mine")
    assert str(error.value).startswith(f"conf/profile/mine.yaml: {told}") and "\n" not in str(error.value)


def test_the_four_profiles_are_there():
    assert {"quick", "compact", "paper", "tiny"} <= set(PROFILES)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_composes_under_its_own_name_with_all_rows(composed, profile):
    config = load(composed(f"profile={profile}"))
    assert config.profile == profile
    assert list(config.methods) == list(PUBLISHED["rows"])


@pytest.mark.parametrize("flaw", FLAWS)
def test_every_flaw_composes_under_a_name_of_its_own_with_all_rows(composed, flaw):
    config = load(composed(f"flaw={flaw}", "profile=compact"))
    assert (config.profile, config.name) == ("compact", f"compact-{flaw}")
    assert list(config.methods) == list(PUBLISHED["rows"])


@pytest.mark.parametrize("profile", PROFILES)
def test_scans_are_called_synthetic_where_a_profile_makes_phantoms_and_no_published_figures_stand_beside_them(
    composed, profile
):
    config = load(composed(f"profile={profile}"))
    assert config.statistics.scans == ("synthetic" if config.data.cohort in config.phantom.cohorts else "real")
    assert config.statistics.published == (config.data.cohort == "la2018")  # published figures are of its patients


def test_an_override_reaches_the_composed_params(composed):
    config = load(composed("profile=compact", "train.lr=0.003", "seeds=[0,1,2]"))
    assert (config.train.lr, config.seeds) == (0.003, (0, 1, 2))


@pytest.mark.parametrize("folder", ["/x/[a], b=c", "/x/a,b", "/x/a=b", "/x/(a)", "/x/ä", "/x/o'neil", "/x/{a}"])
def test_a_value_that_is_no_plain_text_to_hydra_is_told_with_how_it_is_written(composed, folder):
    with pytest.raises(LasslError, match="Hydra does not read the value as plain text; quote it, as in") as error:
        composed("profile=compact", f"data.folder={folder}")
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"data.folder={folder}: ")
    (_, quoted) = shlex.split(f"echo {line.split(', as in ')[1]}")
    assert load(composed("profile=compact", quoted)).data.folder == Path(folder)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "profile=nope",
            "Could not find 'profile/nope' Available options in 'profile': brains brains_six chambers compact",
        ),
        ("train.speed=1", "Could not override 'train.speed'"),
        ("profile", "missing EQUAL"),
        ("data.folder=/x/${a}", "Interpolation key 'a' not found"),
    ],
)
def test_an_override_of_no_sense_is_told_in_a_line(composed, override, told):
    with pytest.raises(LasslError) as error:
        composed(override)
    assert told in str(error.value) and override in str(error.value) and "\n" not in str(error.value)


def test_the_paper_profile_has_the_published_settings(composed):
    config = load(composed("profile=paper"))
    assert config.data.cohort == "la2018"
    assert (config.patches.pool, config.patches.size) == (1, (112, 112, 80))
    assert (config.train.steps, config.train.lr, config.train.momentum) == (6000, 0.01, 0.9)
    assert (config.network.width, config.evaluate.stride) == (16, (18, 18, 4))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("lr: true", "train.lr: Input should be a valid number (found True)"),
        ("lr: 1:30", "train.lr: Input should be a valid number (found '1:30')"),
        ("steps: '240'", "train.steps: Input should be a valid integer (found '240')"),
        ("steps: 240.0", "train.steps: Input should be a valid integer (found 240.0)"),
    ],
)
def test_a_number_of_another_type_is_told_with_its_key_and_what_was_found(tmp_path, written, told):
    values = copy.deepcopy(PARAMS)
    del values["train"][written.split(":")[0]]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values).replace("\ntrain:\n", f"\ntrain:\n  {written}\n"))
    with pytest.raises(LasslError) as error:
        load(path)
    assert str(error.value) == f"{path}: {told}"


def test_a_number_with_a_leading_zero_is_that_of_dvc_in_training_and_in_the_lock_file(tmp_path):
    values = copy.deepcopy(PARAMS)
    del values["train"]["steps"]
    values["train"]["lr"] = 1
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values).replace("\ntrain:\n", "\ntrain:\n  steps: 010\n"))
    assert load(path).train.steps == load_yaml(path)["train"]["steps"] == 10
    assert load(path).train.lr == 1.0


def test_values_in_conf_that_hydra_and_dvc_read_differently_are_told_with_file_and_key(tmp_path):
    assert list(conf_files.problems(ROOT / "conf")) == []
    (tmp_path / "profile").mkdir()
    text = "steps: 010\ntime: 1:30\nlist: [1, {answer: yes}]\nsame: {rate: 1e-4, n: 0x10, text: '010', flag: true}\n"
    (tmp_path / "profile/mine.yaml").write_text(text)
    (tmp_path / "other.yaml").write_text("a: [1\n")
    broken, *lines = conf_files.problems(tmp_path)
    assert broken.startswith(f"{tmp_path}/other.yaml: not valid YAML (")
    todo = "write a number without leading 0 or colon, true or false, or text in quotes"
    place = f"{tmp_path}/profile/mine.yaml"
    assert lines == [
        f"{place}: steps: Hydra reads 8 but DVC reads 10; {todo}",
        f"{place}: time: Hydra reads 90 but DVC reads '1:30'; {todo}",
        f"{place}: list[1].answer: Hydra reads True but DVC reads 'yes'; {todo}",
    ]


def test_the_first_stage_refuses_such_a_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(PARAMS_FILE, "params.yaml")
    Path("conf").mkdir()
    Path("conf/config.yaml").write_text("label_splits: [010]\n")
    with pytest.raises(LasslError, match=r"conf/config\.yaml: label_splits\[0\]: Hydra reads 8 but DVC reads 10; "):
        ready.main()
    assert not Path("build/ready").exists()


def test_a_known_file_is_read_into_a_frozen_configuration():
    config = table()
    with pytest.raises(ValueError, match="frozen"):
        config.train.steps = 1


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(LasslError, match=r"no\.yaml: not found; run this in the project's folder"):
        load(tmp_path / "no.yaml")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(LasslError, match=r"params\.yaml: .*found None"):
        load(tmp_path / "params.yaml")


def test_an_unknown_key_is_named(refusal):
    (line,) = refusal(lambda p: p["train"].update(stepz=5))
    assert line.startswith("train.stepz: Extra") and "found 5" in line


def test_a_missing_key_is_named(refusal):
    (line,) = refusal(lambda p: p["methods"]["cps"]["batch"].pop("unlabeled"))
    assert line == "methods.cps.batch.unlabeled: Field required (found {'labeled': 2})"


def test_a_wrong_type_is_named_with_the_value(refusal):
    (line,) = refusal(lambda p: p["train"].update(steps="many"))
    assert line.startswith("train.steps: ") and "integer" in line and "found 'many'" in line


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [("train", "steps", 0), ("train", "lr", 0), ("network", "dropout", 1), ("patches", "pool", 0),
     ("evaluate", "network", "first"), ("compute", "precision", "fp8"), ("data", "crop", "box"),
     ("cases", "held_out", -1), ("snapshots", "count", -1), ("statistics", "resamples", 0),
     ("statistics", "scans", "atria"), ("statistics", "published", "some")],
)  # fmt: skip
def test_a_value_out_of_range_is_named(refusal, section, key, value):
    (line,) = refusal(lambda p: p[section].update({key: value}))
    assert line.startswith(f"{section}.{key}: ") and f"found {value!r}" in line


def test_a_patch_that_cannot_be_halved_four_times_is_refused(refusal):
    (line,) = refusal(lambda p: p["patches"].update(size=[32, 40, 16]))
    assert line.startswith("patches.size: expected multiples of 16") and "[32, 40, 16]" in line


def test_a_patch_is_halved_as_the_network_says(refusal):
    def thick(size):
        def change(p):
            p["network"]["halve"] = [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]]
            p["patches"]["size"] = size

        return change

    (line,) = refusal(thick([32, 32, 18]))
    assert line.startswith("patches.size: expected multiples of (16, 16, 4), because the V-Net halves the axes as in")
    values = copy.deepcopy(PARAMS)
    thick([32, 32, 12])(values)
    assert Config.model_validate(values).patches.size == (32, 32, 12)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"orientation": "LPX"}, "data.orientation: expected three letters, one of R or L, one of A or P and one of I"),
     ({"spacing_mm": [1, 1]}, "data.spacing_mm.2: Field required"),
     ({"spacing_mm": [1, 1, 0]}, "data.spacing_mm.2: Input should be greater than 0"),
     ({"normalize": {"clip": [300, -100]}}, "data.normalize: expected zscore, or {clip: [lo, hi]} with two numbers"),
     ({"normalize": "minmax"}, "data.normalize: expected zscore, or {clip: [lo, hi]}")],
)  # fmt: skip
def test_a_grid_or_a_normalization_of_no_sense_is_refused_in_a_line(refusal, changes, told):
    (line,) = refusal(lambda p: p["data"].update(changes))
    assert line.startswith(told)


def test_grid_and_normalization_are_read_and_written_only_where_they_are_set(tmp_path):
    values = copy.deepcopy(PARAMS)
    values["data"] |= {"spacing_mm": [1, 1, 2.5], "orientation": "RAS", "normalize": {"clip": [-100, 300]}}
    values["network"]["halve"] = halve = [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2]]
    values["fields_of_view"] = []
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    config = load(tmp_path / "params.yaml")
    assert (config.data.spacing_mm, config.data.orientation, config.data.clip) == ((1, 1, 2.5), "RAS", (-100, 300))
    assert config.network.multiple == (16, 16, 4)
    written = config.model_dump(mode="json")
    assert written["network"]["halve"] == halve and written["data"]["normalize"] == {"clip": [-100, 300]}
    plain = table().model_dump(mode="json")
    assert not {"spacing_mm", "orientation", "normalize", "halve"} & {*plain["data"], *plain["network"]}


@pytest.mark.parametrize(("key", "value"), [("spacing_mm", [1, 1, 1]), ("orientation", "LPS")])
def test_fields_of_view_are_refused_where_scans_are_brought_to_another_grid(refusal, key, value):
    def change(p):
        p["data"][key], p["fields_of_view"] = value, ["whole"]

    (line,) = refusal(change)
    assert line.startswith(f"fields_of_view show scans on their own grids, which data.{key} changes; set fields_of")


def test_a_stride_that_leaves_gaps_between_windows_is_refused(refusal):
    (line,) = refusal(lambda p: p["evaluate"].update(stride=[16, 16, 17]))
    assert line.startswith("evaluate.stride (16, 16, 17) exceeds patches.size (32, 32, 16)")


def test_a_stride_as_long_as_the_patch_is_allowed():
    values = copy.deepcopy(PARAMS)
    values["evaluate"]["stride"] = values["patches"]["size"]
    assert Config.model_validate(values).evaluate.stride == (32, 32, 16)


def test_a_margin_that_runs_backwards_is_refused(refusal):
    (line,) = refusal(lambda p: p["data"].update(margin=[8, 4]))
    assert line.startswith("data: margin [8, 4] is in the wrong order")


@pytest.mark.parametrize(("cases", "patches"), [(0, 2), (64, 0)])
def test_unlabeled_cases_without_patches_and_patches_without_cases_are_refused(refusal, cases, patches):
    def change(p):
        p["methods"]["mt_un"]["unlabeled"] = cases
        p["methods"]["mt_un"]["batch"]["unlabeled"] = patches

    (line,) = refusal(change)
    assert line.startswith(
        f"methods.mt_un: unlabeled is {cases} (cases) but batch.unlabeled is {patches} (their patches"
    )


def test_a_semi_supervised_row_may_go_without_unlabeled_cases_and_their_patches():
    values = copy.deepcopy(PARAMS)
    values["methods"]["cps"] |= {"unlabeled": 0, "batch": {"labeled": 4, "unlabeled": 0}}
    assert Config.model_validate(values).methods["cps"].unlabeled == 0


@pytest.mark.parametrize("held_out", [16, 17])
def test_a_row_without_a_labeled_case_to_train_on_is_refused(refusal, held_out):
    (line,) = refusal(lambda p: p["cases"].update(held_out=held_out))
    assert line.startswith(f"cases.held_out is {held_out}, but methods.cps has only 16 labeled cases; leave some")


def test_a_batch_that_ends_as_one_voxel_is_refused(refusal):
    def change(p):
        p["patches"]["size"], p["evaluate"]["stride"] = [16, 16, 16], [16, 16, 16]
        p["methods"]["vnet_80"]["batch"] = {"labeled": 1, "unlabeled": 0}

    (line,) = refusal(change)
    assert line.startswith("methods.vnet_80.batch is one patch of [16, 16, 16], which the V-Net reduces to one voxel")


@pytest.mark.parametrize(("count", "held_out"), [(0, 0), (3, 0), (0, 2)])
def test_validated_needs_snapshots_and_cases_that_were_held_out(refusal, count, held_out):
    def change(p):
        p["snapshots"].update(count=count, use="validated")
        p["cases"].update(held_out=held_out)

    (line,) = refusal(change)
    assert line.startswith("snapshots.use is validated, which needs snapshots.count and cases.held_out above 0")


def test_validated_is_accepted_where_it_has_both_and_last_without_either():
    values = copy.deepcopy(PARAMS)
    assert Config.model_validate(values).snapshots.use == "last"
    values["snapshots"], values["cases"]["held_out"] = {"count": 3, "use": "validated"}, 2
    assert Config.model_validate(values).snapshots.use == "validated"


def test_a_choice_by_a_function_needs_snapshots_to_choose_from(refusal):
    (line,) = refusal(lambda p: p["snapshots"].update(use="some.module:function"))
    assert line.startswith("snapshots.use is some.module:function, but snapshots.count is 0; keep some")


def test_all_problems_of_a_file_are_told_at_once_a_line_each(refusal):
    def spoil(p):
        p["train"]["steps"] = "many"
        p["speed"] = "high"
        p["patches"]["size"] = [32, 40, 16]
        p["data"]["margin"] = [8, 4]
        del p["evaluate"]["batch"]

    keys = sorted(line.split(":")[0] for line in refusal(spoil))
    assert keys == ["data", "evaluate.batch", "patches.size", "speed", "train.steps"]


def test_a_run_is_named_after_method_draw_and_seed_and_kept_under_its_profile():
    run = table().run("cps_alw", 2, 13)
    assert run.name == "cps_alw-d2-s13"
    assert run.model == Path("models/quick/cps_alw-d2-s13.pt")
    assert run.curves == Path("curves/quick/cps_alw-d2-s13")
    assert run.predictions == Path("predictions/quick/cps_alw-d2-s13")
    assert run.metrics == Path("metrics/quick/cps_alw-d2-s13.json")
    assert run.cases == Path("metrics/quick/cps_alw-d2-s13.csv")
    assert run.record == Path("metrics/quick/records/cps_alw-d2-s13.yaml")
    assert run.snapshots == Path("metrics/quick/snapshots/cps_alw-d2-s13.csv")
    assert metrics_folder("paper") == Path("metrics/paper")


def test_a_variant_names_the_folder_of_its_runs():
    run = Config.model_validate({**PARAMS, "variant": "-no_ramp"}).run("cps", 0, 1)
    assert (run.profile, run.model) == ("quick-no_ramp", Path("models/quick-no_ramp/cps-d0-s1.pt"))
    assert run.snapshots == Path("metrics/quick-no_ramp/snapshots/cps-d0-s1.csv")


@pytest.mark.parametrize("variant", ["no_ramp", "-", "-no/ramp", "-no ramp", "-.."])
def test_a_variant_that_is_no_end_of_a_folders_name_is_refused(refusal, variant):
    (line,) = refusal(lambda p: p.update(variant=variant))
    assert line.startswith("variant: ") and f"found {variant!r}" in line


def test_the_prepared_cohort_has_the_cohorts_name():
    assert table().data.prepared == Path("data/prepared/synthetic")


def test_a_run_of_a_method_that_is_not_composed_is_refused(composed):
    with pytest.raises(LasslError, match=r"methods has no 'mt_un' \(found: cps\)"):
        load(composed("method=cps")).run("mt_un", 0, 0)


def test_the_settings_of_a_method_are_plain_values_without_the_other_methods():
    settings = table().settings("cps")
    assert set(settings) == {"network", "patches", "train", "compute", "cases", "snapshots", "method"}
    assert settings["method"] == PARAMS["methods"]["cps"]
    assert settings["cases"] == {"unlabeled": "rest", "held_out": 0, "tuning": 0}
    assert settings["snapshots"] == {"count": 0}  # which of them is scored does not shape the training
    assert yaml.safe_load(yaml.safe_dump(settings)) == settings


def test_a_composition_that_is_wrong_leaves_params_yaml_as_it_was(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("as it was")
    with pytest.raises(LasslError, match=r"^params.yaml: data.folder: .*\['a'\]"):
        lassl("compose", "data.folder=[a]")
    assert [path.name for path in Path().iterdir() if path.is_file()] == ["params.yaml"]
    assert Path("params.yaml").read_text() == "as it was"


def test_a_network_has_a_class_for_each_structure_and_one_for_the_background(tmp_path):
    params = default_params()
    params["data"]["structures"] = {"a": [1], "b": [3, 4], "c": [2]}
    path = tmp_path / "params.yaml"
    path.write_text(yaml_text(params))
    assert load(path).network.classes == 4
    assert load(path).settings("vnet_16")["network"]["classes"] == 4
    params["network"]["classes"] = 3
    path.write_text(yaml_text(params))
    with pytest.raises(LasslError, match=r"network\.classes is 3, but data\.structures asks for 4"):
        load(path)
    params["data"]["structures"] = {"a": [1]}
    del params["network"]["classes"]
    path.write_text(yaml_text(params))
    assert load(path).network.classes == 2 and "classes" not in load(path).settings("vnet_16")["network"]
