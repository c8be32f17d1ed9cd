"""What the sections of params.yaml have in common: their base, and kinds of values."""

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)

from lassl.plumbing.plugins import NAMED

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Size = tuple[Positive, Positive, Positive]  # voxels along x, y, z
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AXIS = {"R": "x", "L": "x", "A": "y", "P": "y", "I": "z", "S": "z"}  # of the patient, to which a side belongs
_Name = Annotated[str, Field(pattern=r"^\w[\w-]*$")]
_Value = Annotated[int, Field(ge=1)]  # 0 is the background
_Values = Annotated[tuple[_Value, ...], Field(min_length=1)]  # of a structure in a label


def _apart(structures: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Refuse structures that share a value."""
    counts = Counter(value for values in structures.values() for value in set(values))
    if shared := [value for value, count in counts.items() if count > 1]:
        names = [name for name, values in structures.items() if shared[0] in values]
        raise ValueError(f"value {shared[0]} is in {' and in '.join(names)}; give each value to one structure")
    return structures


Structures = Annotated[dict[_Name, _Values], Field(min_length=1, max_length=254), AfterValidator(_apart)]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse names of files that are the same on some systems, the name of the label, and no name at all."""
    lower = [name.lower() for name in names]
    if not names or "label" in lower or len(set(lower)) < len(lower):
        raise ValueError("expected names of image files, each once, and not label")
    return names


Channels = Annotated[tuple[_Name, ...], AfterValidator(_each_once)]  # files without their suffix
CHANNELS: tuple[str, ...] = ("image",)  # of scans with one channel

Spacing = tuple[_Length, _Length, _Length]  # mm along x, y, z


def _one_side_of_each(code: str) -> str:
    """Refuse what does not name a side of the patient for each axis."""
    if sorted(AXIS.get(letter, letter) for letter in code) != sorted(set(AXIS.values())):
        raise ValueError("expected three letters, one of R or L, one of A or P and one of I or S, such as LPS")
    return code


Orientation = Annotated[str, AfterValidator(_one_side_of_each)]  # the side of the patient that each axis points to


_Factor = Literal[1, 2]
_Halving = tuple[_Factor, _Factor, _Factor]  # along x, y, z
Halvings = tuple[_Halving, _Halving, _Halving, _Halving]  # of the V-Net, from the first to the last
HALVINGS: Halvings = ((2, 2, 2),) * 4


def plugin_name(*words: str, kind: str = "function") -> AfterValidator:
    """Accept one of our words, or a name of the form `package.module:name`: see lassl/plumbing/plugins.py.

    `kind` is what has the name: a function or a class.
    """
    form = f"a {kind} such as package.module:{'Class' if kind == 'class' else kind}"

    def known(name: str) -> str:
        if name not in words and not NAMED.fullmatch(name):
            raise ValueError(f"expected {', '.join(words)}, or {form}")
        return name

    return AfterValidator(known)


class Section(BaseModel):
    """A section of params.yaml: read-only, and an unknown key is an error.

    Older records lack the keys in `later`, which are written only if they are not at their default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _as_in_older_records(self, plain: Any) -> dict[str, Any]:
        usual = {key: type(self).model_fields[key].get_default(call_default_factory=True) for key in self.later}
        values = plain(self).items()
        return {key: value for key, value in values if key not in usual or getattr(self, key) != usual[key]}


class Clip(Section):
    """The intensities, in order, to which a scan is clipped before it is normalized by its mean and deviation."""

    clip: tuple[_Finite, _Finite]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.clip[0] >= self.clip[1]:
            raise ValueError("the limits are in the wrong order")
        return self


def _zscore_or_clip(value: Any, check: ValidatorFunctionWrapHandler) -> "Literal['zscore'] | Clip":
    """Give one message instead of one for each form; take a list, which strict checks of files do not."""
    if isinstance(value, dict) and isinstance(value.get("clip"), list):
        value = value | {"clip": tuple(value["clip"])}
    try:
        normalize: Literal["zscore"] | Clip = check(value)
        return normalize
    except ValidationError:
        raise ValueError("expected zscore, or {clip: [lo, hi]} with two numbers, the smaller one first") from None


Normalize = Annotated[Literal["zscore"] | Clip, WrapValidator(_zscore_or_clip)]
