"""What the sections of params.yaml have in common: their base, and kinds of values."""

from collections import Counter
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer

from lassl.plumbing.plugins import NAMED

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Size = tuple[Positive, Positive, Positive]  # voxels along x, y, z
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
        return {key: value for key, value in plain(self).items() if key not in usual or value != usual[key]}
