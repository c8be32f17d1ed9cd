"""Converts weights of the V-Net in the field's public code to our names.

The code of UA-MT (Yu et al. 2019) and its descendants have our plain V-Net, weight for weight. They name its blocks in
three ways: all in one (UA-MT; SASSNet and DTC, with a second head), `encoder` and `decoder` (SS-Net, BCP), and
`encoder` and `decoder1` with further decoders (MC-Net, which is evaluated with the first).
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError
from lassl.settings.sections import Network

BLOCKS = {  # ours -> theirs
    **{f"encoder.{i}": f"block_{n}" for i, n in enumerate(("one", "two", "three", "four"))},
    **{f"downs.{i}": f"block_{n}_dw" for i, n in enumerate(("one", "two", "three", "four"))},
    "bottom.0": "block_five",
    **{f"ups.{i}": f"block_{n}_up" for i, n in enumerate(("five", "six", "seven", "eight"))},
    **{f"decoder.{i}": f"block_{n}" for i, n in enumerate(("six", "seven", "eight", "nine"))},
}
DECODER = ("ups", "decoder", "head")  # our parts of the decoder; all others belong to the encoder
HEAD, DISTANCE = "out_conv.", "out_conv2."  # if there are two heads, the first gives a distance, the second the mask
GAIN = "block_one.conv.1.weight"  # of the first batch norm; its length is the width of the network
BESIDE = (  # parts that only training uses
    *("decoder2.", "decoder3.", "decoder4."),
    *("projection_head.", "prediction_head.", "contrastive_class_selector_"),
)
COUNTER = "num_batches_tracked"  # missing in older files; no result depends on it
NAMED = 5  # how many names an error lists
DROPOUT = 0.5  # of their networks; it has no weights
ADVICE = "use the file as published by its authors"


def translated(state: Mapping[str, Tensor], path: object) -> tuple[Network, dict[str, Tensor], list[str]]:
    """Convert a state dictionary to our names; returns the network, its weights (float32) and the ignored names.

    The names do not show whether a network has residual stages; it is taken as plain. A head has a channel for each
    class. One with a single channel, whose sigmoid is the foreground, becomes two logits, with 0 for the background.
    Raises LasslError with a line for each difference between the dictionary of the file (path) and the expected one.
    """
    encoder = "encoder." if any(name.startswith("encoder.") for name in state) else ""
    decoder = next((p for p in ("decoder1.", "decoder.") if any(name.startswith(p) for name in state)), "")
    gain = state.get(f"{encoder}{GAIN}")
    if not isinstance(gain, Tensor) or gain.ndim != 1 or not len(gain):
        raise LasslError(
            f"{path}: found {listed(list(state)) or 'nothing'}, expected the V-Net of UA-MT or of derived code, "
            f"with batch norm ({GAIN} and so on); {ADVICE}"
        )
    single = f"{decoder}{DISTANCE}weight" in state
    head = state.get(f"{decoder}{HEAD}bias")
    classes = len(head) if not single and isinstance(head, Tensor) and head.ndim == 1 and len(head) > 2 else 2
    network = Network(width=len(gain), residual=False, dropout=DROPOUT, classes=classes)
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in VNet(network).state_dict().items()}
    names = {ours: (decoder if ours.startswith(DECODER) else encoder) + their_name(ours, single) for ours in shapes}
    if single:
        shapes |= {name: (1, *shape[1:]) for name, shape in shapes.items() if name.startswith("head.")}
    beside = (*BESIDE, f"{decoder}{HEAD}") if single else BESIDE
    aside = [name for name in state if name.startswith(beside)]
    if problems := list(differences(state, names, shapes, aside)):
        raise LasslError("\n".join(f"{path}: {problem}; {ADVICE}" for problem in problems))
    weights = {ours: state[theirs] for ours, theirs in names.items() if theirs in state}
    weights |= {ours: torch.zeros((), dtype=torch.int64) for ours in names if ours not in weights}
    weights = {ours: value if ours.endswith(COUNTER) else value.float() for ours, value in weights.items()}
    if single:
        only = {name: value for name, value in weights.items() if name.startswith("head.")}
        weights |= {name: torch.cat([torch.zeros_like(value), value]) for name, value in only.items()}
    return network, weights, aside


def their_name(ours: str, second_head: bool) -> str:
    """The name of a tensor of our V-Net in their code, without the prefix of its part.

    Each of their blocks is a Sequential `conv` of convolution, batch norm and ReLU in turn.
    """
    part, number, *places, tensor = ours.split(".")
    if part == "head":
        return (DISTANCE if second_head else HEAD) + tensor
    if len(places) == 1:  # part of a step down or up, which is a Sequential in our code, too
        place = int(places[0])
    else:
        kind, depth = places
        place = 3 * int(depth) + (kind == "norms")
    return f"{BLOCKS[f'{part}.{number}']}.conv.{place}.{tensor}"


def differences(
    state: Mapping[str, Tensor], names: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], aside: list[str]
) -> Iterator[str]:
    """Describe how a dictionary differs from the expected tensors (names: ours -> theirs; shapes by our names)."""
    if missing := [name for name in names.values() if name not in state and not name.endswith(COUNTER)]:
        yield f"{len(missing)} of {len(names)} tensors of the V-Net are missing: {listed(missing)}"
    if unknown := [name for name in state if name not in {*names.values(), *aside}]:
        yield f"{len(unknown)} names do not belong to the V-Net: {listed(unknown)}"
    others = []
    for ours, theirs in names.items():
        value = state.get(theirs)
        if value is None:
            continue
        if not isinstance(value, Tensor):
            others.append(f"{theirs}: found {type(value).__name__}, expected a tensor")
        elif tuple(value.shape) != shapes[ours]:
            others.append(f"{theirs}: found {tuple(value.shape)}, expected {shapes[ours]}")
        elif not (value.is_floating_point() or ours.endswith(COUNTER)) or not torch.isfinite(value).all():
            others.append(f"{theirs}: found {value.dtype} or values that are not finite, expected finite numbers")
    yield from others[:NAMED]
    if len(others) > NAMED:
        yield f"{len(others) - NAMED} more tensors are wrong in the same ways"


def listed(names: list[str]) -> str:
    """The first names, with dots if there are more."""
    return ", ".join(map(str, names[:NAMED])) + ", ..." * (len(names) > NAMED)
