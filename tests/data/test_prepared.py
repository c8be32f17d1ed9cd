"""Label splits of labeled and unlabeled cases, and a prepared cohort read back."""

from collections.abc import Collection, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest

from lassl.data.case import Case, cohort_hash
from lassl.data.label_split import UNLABELED, LabelSplit, Split, choose_cases, rest, set_aside
from lassl.data.prepared import Manifest, Prepared, open_prepared
from lassl.images.geometry import Geometry
from lassl.plumbing.errors import LasslError

TRAIN = tuple("HCAFBGDE")


def test_draw_0_takes_the_first_cases_of_the_list() -> None:
    assert choose_cases(TRAIN, set(TRAIN), 2, 3, label_split=0) == LabelSplit(
        labeled=("H", "C"), unlabeled=("A", "F", "B")
    )


@pytest.mark.parametrize("label_split", range(12))
def test_labeled_and_unlabeled_together_are_the_whole_train_list_in_its_order(label_split: int) -> None:
    found = choose_cases(TRAIN, set(TRAIN), 3, 5, label_split)
    assert len(found.labeled) == 3 and len(found.unlabeled) == 5
    assert not set(found.labeled) & set(found.unlabeled)
    assert tuple(sorted(found.labeled + found.unlabeled, key=TRAIN.index)) == TRAIN
    for part in (found.labeled, found.unlabeled):
        assert list(part) == sorted(part, key=TRAIN.index)


def test_a_seeded_draw_is_the_same_each_time_and_another_for_another_seed() -> None:
    label_splits = [choose_cases(TRAIN, set(TRAIN), 4, 4, label_split) for label_split in range(1, 9)]
    assert label_splits == [choose_cases(TRAIN, set(TRAIN), 4, 4, label_split) for label_split in range(1, 9)]
    assert len(set(label_splits)) > 5


def test_a_seeded_draw_labels_only_cases_that_have_a_label_and_leaves_the_others_unlabeled() -> None:
    for label_split in range(1, 30):
        found = choose_cases(TRAIN, {"E", "A", "B"}, 2, 6, label_split)
        assert set(found.labeled) < {"E", "A", "B"} and len(found.unlabeled) == 6


def test_in_one_draw_few_labeled_cases_are_among_the_many() -> None:
    for label_split in range(1, 30):
        few, many = (choose_cases(TRAIN, set(TRAIN), n, 0, label_split) for n in (2, 5))
        assert set(few.labeled) < set(many.labeled)


@pytest.mark.parametrize("label_split", [0, 3])
def test_more_cases_than_there_are_is_an_error_that_counts_both(label_split: int) -> None:
    with pytest.raises(LasslError, match=r"expected 4 labeled [+] 5 unlabeled cases, found 8 .*; lower the counts"):
        choose_cases(TRAIN, set(TRAIN), 4, 5, label_split)


def test_a_case_that_must_be_labeled_and_is_not_is_named() -> None:
    with pytest.raises(
        LasslError, match=r"label split 0: expected 3 labeled cases, found 1 with a label \(none for C, A\)"
    ):
        choose_cases(TRAIN, {"H", "F", "B"}, 3, 1, label_split=0)
    with pytest.raises(
        LasslError, match="label split 2: expected 3 labeled cases, found 2 with a label; add the labels"
    ):
        choose_cases(TRAIN, {"H", "F"}, 3, 1, label_split=2)


@pytest.mark.parametrize("label_split", range(12))
def test_the_held_out_cases_are_labeled_ones_that_are_neither_trained_on_nor_unlabeled(label_split: int) -> None:
    whole = choose_cases(TRAIN, set(TRAIN), 5, 3, label_split)
    found = choose_cases(TRAIN, set(TRAIN), 5, 3, label_split, held_out=2)
    assert (len(found.labeled), len(found.held_out), whole.held_out) == (3, 2, ())
    assert set(found.labeled) | set(found.held_out) == set(whole.labeled)
    assert found.unlabeled == whole.unlabeled


def test_the_last_of_the_labeled_cases_are_held_out() -> None:
    found = choose_cases(TRAIN, set(TRAIN), 4, 3, label_split=0, held_out=1)
    assert found == LabelSplit(labeled=("H", "C", "A"), unlabeled=("B", "G", "D"), held_out=("F",))


@pytest.mark.parametrize("held_out", [2, 3])
def test_holding_out_every_labeled_case_is_an_error_that_counts_both(held_out: int) -> None:
    with pytest.raises(LasslError, match=rf"held_out: found {held_out}, but only 2 cases are labeled; leave some"):
        choose_cases(TRAIN, set(TRAIN), 2, 3, label_split=0, held_out=held_out)


TWICE = {"H": "1", "C": "2", "E": "1", "D": "3"}


def test_tuning_sets_the_last_labeled_cases_aside_and_with_them_all_scans_of_their_patients() -> None:
    assert set_aside(TRAIN, set(TRAIN), {}, 2) == (("D", "E"), ("H", "C", "A", "F", "B", "G"))
    assert set_aside(TRAIN, set(TRAIN), TWICE, 2) == (("D", "E"), ("C", "A", "F", "B", "G"))
    assert set_aside(TRAIN, {"H", "C", "A"}, TWICE, 1) == (("A",), ("H", "C", "F", "B", "G", "D", "E"))
    assert set_aside(TRAIN, set(TRAIN), TWICE, 0) == ((), TRAIN)


def test_a_patient_who_would_be_held_out_and_trained_on_is_refused() -> None:
    fine = choose_cases(TRAIN, set(TRAIN), 3, 5, 0, held_out=1, patients=TWICE)
    assert fine.held_out == ("A",)
    for other in ("H", "E"):  # labeled, and unlabeled
        with pytest.raises(LasslError, match=f"label split 0: case A is held out, but {other} of the same patient"):
            choose_cases(TRAIN, set(TRAIN), 3, 5, 0, held_out=1, patients={"A": "1", other: "1"})


def test_rest_gives_the_first_cases_of_the_order_that_are_not_labeled() -> None:
    assert list(rest("DBCAE", {"B", "A"}, 2)) == ["D", "C"]
    assert UNLABELED == {"rest": rest}


@pytest.mark.parametrize("label_split", [0, 3])
def test_another_choice_of_unlabeled_cases_knows_the_order_the_labeled_ones_and_their_number(label_split: int) -> None:
    seen = []

    def last(order: Sequence[str], labeled: Collection[str], count: int) -> Sequence[str]:
        seen.append((sorted(order), set(labeled), count))
        return order[-count:][::-1]

    honest = choose_cases(TRAIN, set(TRAIN), 3, 2, label_split, held_out=1)
    found = choose_cases(TRAIN, set(TRAIN), 3, 2, label_split, 1, last)
    assert seen == [(sorted(TRAIN), {*honest.labeled, *honest.held_out}, 2)]
    assert (found.labeled, found.held_out) == (honest.labeled, honest.held_out)
    assert found.unlabeled != honest.unlabeled and len(found.unlabeled) == 2
    assert list(found.unlabeled) == sorted(found.unlabeled, key=TRAIN.index)


def test_a_choice_of_fewer_unlabeled_cases_than_were_asked_for_is_refused() -> None:
    for others in (lambda *_: [], lambda order, labeled, count: [*order[-1:], "X"]):
        with pytest.raises(
            LasslError, match=r"cases\.unlabeled: expected 2 unlabeled cases, but its function chose [01] "
        ):
            choose_cases(TRAIN, set(TRAIN), 3, 2, 0, 0, others)


IMAGE = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
LABEL = (IMAGE > 0).astype(np.uint8)
DIRECTION = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def entry(name: str, part: str, labeled: bool) -> Case:
    place = {
        "full_size": (6, 7, 5),
        "crop_start": (2, 4, 1),
        "spacing_mm": (0.6, 0.7, 1.5),
        "origin_mm": (-3.0, 8.5, 1.0),
    }
    hashes = {"image_sha256": f"image of {name}", "label_sha256": f"label of {name}" if labeled else None}
    return Case.model_validate(
        {"case": name, "split": part, "shape": (3, 2, 4), "direction": DIRECTION, "labeled": labeled, **place, **hashes}
    )


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    cases = (entry("B", "train", True), entry("A", "train", False), entry("T", "test", True))
    manifest = Manifest(door="challenge", options={"crop": "label"}, hash=cohort_hash(cases), cases=cases)
    (tmp_path / "manifest.json").write_text(manifest.text())
    for case in cases:
        with h5py.File(tmp_path / f"{case.case}.h5", "w") as file:
            file["image"] = IMAGE
            if case.labeled:
                file["label"] = LABEL
    return open_prepared(tmp_path)


def test_a_prepared_cohort_gives_its_split_labels_and_places(prepared: Prepared) -> None:
    assert prepared.split == Split(train=("B", "A"), test=("T",))
    assert prepared.with_label == {"B", "T"}
    assert list(prepared.cases) == ["B", "A", "T"]
    assert prepared.manifest_hash == cohort_hash(tuple(prepared.cases.values()))
    assert prepared.geometry("A") == Geometry((0.6, 0.7, 1.5), (-3.0, 8.5, 1.0), DIRECTION)
    assert (prepared.crop_start("A"), prepared.full_size("A")) == ((2, 4, 1), (6, 7, 5))


def test_volumes_come_back_as_they_were_written(prepared: Prepared) -> None:
    image, label = prepared.read_image("B"), prepared.read_label("B")
    assert image.dtype == np.float32 and label.dtype == np.uint8
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(label, LABEL)


def test_reading_an_image_never_opens_the_label(prepared: Prepared) -> None:
    with h5py.File(prepared.folder / "B.h5", "a") as file:
        del file["label"]
    np.testing.assert_array_equal(prepared.read_image("B"), IMAGE)
    with pytest.raises(LasslError, match=r"B\.h5: cannot read the label .*dvc repro"):
        prepared.read_label("B")


def test_the_label_of_a_case_without_one_is_refused_even_if_the_file_had_it(prepared: Prepared) -> None:
    with h5py.File(prepared.folder / "A.h5", "a") as file:
        file["label"] = LABEL
    with pytest.raises(LasslError, match="case A has no label"):
        prepared.read_label("A")


def test_a_mask_is_pasted_where_its_crop_was_with_the_raw_geometry(prepared: Prepared) -> None:
    pasted = prepared.paste("A", LABEL)
    assert pasted.array.shape == (6, 7, 5) and pasted.array.dtype == np.uint8
    assert pasted.geometry == prepared.geometry("A")
    np.testing.assert_array_equal(pasted.array[2:5, 4:6, 1:5], LABEL)
    assert pasted.array.sum() == LABEL.sum()


def test_a_mask_of_another_size_is_not_pasted(prepared: Prepared) -> None:
    with pytest.raises(LasslError, match=r"size \(2, 3, 4\), expected \(3, 2, 4\)"):
        prepared.paste("A", np.ascontiguousarray(LABEL.transpose(1, 0, 2)))


def test_a_missing_or_truncated_volume_is_named_with_its_remedy(prepared: Prepared) -> None:
    (prepared.folder / "B.h5").unlink()
    (prepared.folder / "A.h5").write_bytes((prepared.folder / "A.h5").read_bytes()[:700])
    for case in "BA":
        with pytest.raises(LasslError, match=rf"{case}\.h5: cannot read the image .*dvc repro"):
            prepared.read_image(case)


def test_an_unknown_case_is_named(prepared: Prepared) -> None:
    for ask in (prepared.read_image, prepared.read_label, prepared.geometry, prepared.crop_start):
        with pytest.raises(LasslError, match=r"manifest\.json: no case X"):
            ask("X")


def test_a_missing_or_damaged_manifest_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(LasslError, match=r"manifest\.json: cannot be read; .*dvc repro"):
        open_prepared(tmp_path)
    (tmp_path / "manifest.json").write_text('{"door": "window"')
    with pytest.raises(LasslError, match=r"manifest\.json: damaged .*dvc repro"):
        open_prepared(tmp_path)


def test_the_hash_sees_content_split_and_place() -> None:
    base = [entry("A", "train", True), entry("B", "test", True)]
    others = [
        [base[0], entry("B", "train", True)],
        [base[0], base[1].model_copy(update={"image_sha256": "other"})],
        [base[0], base[1].model_copy(update={"label_sha256": "other"})],
        [base[0], base[1].model_copy(update={"crop_start": (1, 4, 1)})],
        base[::-1],
    ]
    assert len({cohort_hash(cases) for cases in [base, *others]}) == 6
    assert cohort_hash(base) == cohort_hash([entry("A", "train", True), entry("B", "test", True)])
