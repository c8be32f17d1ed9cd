"""The synthetic cohort in memory: phantoms, drawn when they are asked for, prepared as the pipeline prepares them."""

from functools import lru_cache

from lassl.data.label_split import Split
from lassl.data.phantom import STRUCTURES, draw_phantom
from lassl.data.prepare import crop_box
from lassl.data.raw import CHALLENGE_SPACING_MM
from lassl.images.geometry import Array, Geometry
from lassl.images.intensities import normalize
from lassl.images.structures import classes_in
from lassl.plumbing.errors import LasslError
from lassl.seeds import stream
from lassl.settings.sections import Data, Phantom

TRAINING, TEST = 80, 4  # cases; a training draws only those that it uses


class Drawn:
    """Phantoms with the names, and bit for bit the voxels, of the pipeline's synthetic cohort. One takes 0.3 s.

    Training cases are P000 to P079, test cases P080 to P083. Raises LasslError for settings of another grid.
    """

    def __init__(self, phantom: Phantom, data: Data):
        if key := next((key for key in ("spacing_mm", "orientation") if getattr(data, key) is not None), None):
            raise LasslError(f"settings: data.{key}: phantoms in memory have a grid of their own; leave the key out")
        if len(data.channels) > 1:
            raise LasslError("settings: data.channels: phantoms have one channel; leave the key out")
        self.phantom, self.data = phantom, data
        names = [f"P{number:03d}" for number in range(TRAINING + TEST)]
        self.split = Split(train=tuple(names[:TRAINING]), test=tuple(names[TRAINING:]))
        self.with_label = frozenset(names)

    def read_image(self, case: str) -> Array:
        """Give the normalized image, float32 (X, Y, Z)."""
        return _drawn(case, self.phantom, self.data.model_dump_json())[0].copy()

    def read_label(self, case: str) -> Array:
        """Give the label, uint8 (X, Y, Z), 1 inside the atrium, or the classes of `data.structures`."""
        return _drawn(case, self.phantom, self.data.model_dump_json())[1].copy()

    def geometry(self, case: str) -> Geometry:
        """Give where the voxels of the scan lie: all phantoms have one geometry."""
        return Geometry(CHALLENGE_SPACING_MM)


@lru_cache(maxsize=TRAINING + TEST)
def _drawn(case: str, phantom: Phantom, data_json: str) -> tuple[Array, Array]:
    """Image and label of a case, cropped; `data_json` is a Data, which cannot be hashed."""
    data = Data.model_validate_json(data_json)
    image, drawn = draw_phantom(phantom.size, stream(phantom.seed, "phantom", case))
    label = classes_in(drawn, data.structures or {"atrium": (STRUCTURES["atrium"],)})
    box = crop_box(label, data, case)
    return normalize(image, box, data.clip), label[box]
