"""The preview of a mask: which planes it shows, the right way up, at the right proportions, and how large it is."""

import numpy as np
import pytest
import SimpleITK as sitk

from lassl.images import preview as drawing
from lassl.images.geometry import Geometry, Volume, directions
from lassl.images.grids import turned
from lassl.images.preview import GAP, LETTER, LINE, WIDTH, preview, write_preview

SIZE, SPACING = (60, 50, 20), (2.0, 2.0, 5.0)  # 120 x 100 x 100 mm
BODY = (slice(35, 50), slice(10, 22), slice(12, 17))  # to the left, in front, and towards the head


def scan(code: str = "LPS") -> tuple[Volume, np.ndarray]:
    """A dark scan with noise and a bright body, its axes running as `code` says; and the mask of the body."""
    image = np.random.default_rng(0).integers(0, 20, SIZE).astype(np.int16)
    mask = np.zeros(SIZE, np.uint8)
    mask[BODY] = 1
    image[BODY] = 200
    place = Geometry(SPACING, (3.0, -4.0, 5.0), directions("LPS"))
    return turned(Volume(image, place), code), turned(Volume(mask, place), code).array


def planes(picture: np.ndarray) -> list[np.ndarray]:
    """Cut a picture into its three planes: 120, 120 and 100 mm wide."""
    side = (WIDTH - 2 * GAP - 3) / 340
    widths = [int(120 * side), int(120 * side), int(100 * side)]
    starts = [0, widths[0] + GAP, widths[0] + widths[1] + 2 * GAP]
    return [picture[:, start : start + width] for start, width in zip(starts, widths, strict=True)]


def outlined(plane: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the outline's box in a plane."""
    rows, columns = np.nonzero((plane == LINE).all(-1))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_each_plane_shows_the_body_on_its_side_of_the_patient_at_its_size(monkeypatch):
    monkeypatch.setattr(drawing, "AROUND_MM", 200)  # the whole scan
    mm = (WIDTH - 2 * GAP - 3) / 340  # pixels in a millimetre
    expected = {  # mm from the left and from the top: axial, coronal, sagittal
        "axial": ((70, 100), (20, 44)),
        "coronal": ((70, 100), (15, 40)),  # slices 12 to 16 of 20, counted from the head
        "sagittal": ((20, 44), (15, 40)),
    }
    for plane, (across, down) in zip(planes(preview(*scan())), expected.values(), strict=True):
        rows, columns = outlined(plane)
        found = [columns.start, columns.stop, rows.start, rows.stop]
        np.testing.assert_allclose(np.array(found) / mm, [*across, *down], atol=1.5)


@pytest.mark.parametrize("code", ["RAI", "SLA", "PIR"])
def test_the_picture_is_the_same_however_the_axes_of_the_scan_run(code):
    np.testing.assert_array_equal(preview(*scan(code)), preview(*scan()))


def test_a_picture_is_at_most_900_pixels_wide_and_in_colors():
    picture = preview(*scan())
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert 890 <= picture.shape[1] <= WIDTH == 900


def test_letters_name_the_sides_where_there_is_room(monkeypatch):
    monkeypatch.setattr(drawing, "AROUND_MM", 200)
    axial = planes(preview(*scan()))[0]
    middle = axial.shape[0] // 2
    white = (axial == LETTER).all(-1)
    assert white[middle - 9 : middle + 9, :14].any() and white[middle - 9 : middle + 9, -14:].any()
    narrow = Volume(np.arange(4 * 200 * 200).reshape(4, 200, 200).astype(np.float32), Geometry((1.0, 1.0, 1.0)))
    assert preview(narrow, np.zeros(narrow.array.shape, np.uint8)).shape[1] <= WIDTH


def test_only_the_surroundings_of_a_mask_are_shown_and_all_of_a_scan_without_one():
    wide = Volume(np.random.default_rng(0).normal(size=(200, 200, 40)).astype(np.float32), Geometry((2.0, 2.0, 2.0)))
    mask = np.zeros(wide.array.shape, np.uint8)
    empty = preview(wide, mask)
    assert empty.shape[0] == pytest.approx(WIDTH / 3, abs=6) and not (empty == LINE).all(-1).any()
    mask[100:110, 100:110, 15:25] = 1  # 20 mm, shown with 40 mm on all sides: 100 x 100 x 80 mm
    _rows, columns = outlined(preview(wide, mask)[:, :292])
    assert (columns.stop - columns.start) / 292 == pytest.approx(0.2, abs=0.02)


def test_a_scan_that_is_nearly_constant_and_a_mask_of_one_voxel_make_a_picture():
    image = np.zeros((20, 20, 20), np.float32)
    image[0, 0, 0] = 1
    mask = np.zeros(image.shape, np.uint8)
    mask[10, 10, 10] = 1
    assert (preview(Volume(image), mask) == LINE).all(-1).any()


def test_the_file_is_a_png_and_nothing_else_is_left(tmp_path):
    write_preview(tmp_path / "a.png", *scan())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.png"))), preview(*scan()))
