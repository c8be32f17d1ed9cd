"""Kinds of values in params.yaml: sizes, structures, and names of functions or classes elsewhere."""

from typing import Annotated

from pydantic import AfterValidator, Field

from lassl.plumbing.plugins import NAMED

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Size = tuple[Positive, Positive, Positive]  # voxels along x, y, z
_Name = Annotated[str, Field(pattern=r"^\w[\w-]*$")]
_Values = Annotated[tuple[int, ...], Field(min_length=1)]  # of the structure in a label
Structures = Annotated[dict[_Name, _Values], Field(min_length=1, max_length=1)]


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
