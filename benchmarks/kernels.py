"""`python -m benchmarks.kernels`: where the time of a supervised step goes, by kernel and by level of the network.

It profiles a compiled and an eager step next to the least time of each level (benchmarks/roofline.py), then times
variants of the step. --output has each result as soon as it is measured. On a CPU operations take the place of kernels,
and nothing is compiled.
"""

import argparse
import gc
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.gpu import seconds, stepper
from benchmarks.pairs import composed
from benchmarks.profiler import profiled
from benchmarks.roofline import Work, limits, step_work
from benchmarks.roofline import table as roofline_table
from lassl.model.placement import place
from lassl.plumbing.errors import LasslError, command
from lassl.plumbing.files import write_text
from lassl.plumbing.machine import machine
from lassl.plumbing.tables import grid, significant
from lassl.settings.config import Config

ROW = "vnet_16"
WAYS = {"compiled": True, "eager": False}
VARIANTS: dict[str, dict[str, Any]] = {  # compute settings, patches of a batch, mode of torch.compile
    "compiled": {},
    "eager": {"compile": False},
    "fp16": {"precision": "fp16"},
    "reduce-overhead": {"mode": "reduce-overhead"},
    "deterministic": {"deterministic": True},
    "batch 8": {"batch": 8},
    "batch 16": {"batch": 16},
    "compiled again": {},
}
TIMED, PROFILED = 25, 5  # steps, on a card


def step_of(config: Config, batch: int | None = None, mode: str | None = None, **compute: Any) -> Callable[[], object]:
    """Make a call that trains a step of a variant, compiled unless it says otherwise. Raises LasslError."""
    method = config.methods[ROW]
    patches = method.batch.model_copy(update={"labeled": batch or method.batch.labeled})
    methods = {ROW: method.model_copy(update={"batch": patches})}
    settings = config.compute.model_copy(update={"compile": True, **compute})
    return stepper(config.model_copy(update={"compute": settings, "methods": methods}), "supervised", None, mode)


def forget() -> None:
    """Let go of what a step had: compiled code and memory of the card."""
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()


def way(config: Config, compiled: bool, device: torch.device) -> dict[str, Any]:
    """Time a step and profile it; `kernels` are lines of level, part, name, milliseconds and calls."""
    forget()
    step = step_of(config, compile=compiled)
    timed, watched = (TIMED, PROFILED) if device.type == "cuda" else (1, 1)
    whole = 1e3 * seconds(step, device, timed)
    spent = profiled(step, device, config.patches.size, watched)
    return {"step_ms": whole, "kernels": [[*key, *found] for key, found in spent.items()]}


def variant(config: Config, name: str, device: torch.device) -> dict[str, Any]:
    """Time a step of a variant: its patches and milliseconds."""
    forget()
    took = seconds(step_of(config, **VARIANTS[name]), device, TIMED if device.type == "cuda" else 1)
    return {"patches": VARIANTS[name].get("batch", config.methods[ROW].batch.labeled), "step_ms": 1e3 * took}


def tried(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Measure, or give the reason of a failure, so that the other measurements still get their time on the card."""
    try:
        return measure()
    except (RuntimeError, LasslError) as error:  # torch's errors of memory and of compiling are RuntimeErrors
        return {"failed": next(iter(str(error).strip().splitlines()), type(error).__name__)}


def share(part: float, whole: float) -> str:
    """A part in percent, or nothing if the profiler saw no kernels."""
    return f"{part / whole:.0%}" if whole else ""


def level_table(ways: Mapping[str, Any], works: Sequence[Work], bandwidth: float, speed: float) -> str:
    """A line for each level: its least time, and forward, backward and all of each way; the last one is the step."""
    least: dict[str, float] = defaultdict(float)
    for work in works:
        for name in (str(work.level), "all"):
            least[name] += 1e3 * work.seconds(bandwidth, speed)
    heads = [f"{name} {what}" for name in ways for what in ("forward ms", "backward ms", "all ms", "share")]
    lines = []
    for name in [*sorted(least.keys() - {"all"}), "other", "all"]:
        line = [name, "" if name == "other" else f"{least[name]:.3f}"]
        for found in ways.values():
            whole = sum(time for *_, time, _ in found["kernels"])
            here = [(kind, time) for at, kind, _, time, _ in found["kernels"] if name in (at, "all")]
            forward, backward = (sum(time for kind, time in here if kind == asked) for asked in ("forward", "backward"))
            both = sum(time for _, time in here)
            line += [f"{forward:.3f}", f"{backward:.3f}", f"{both:.3f}", share(both, whole)]
        lines.append(line)
    return grid(["level", "least ms", *heads], lines)


def kernel_table(found: Mapping[str, Any], top: int) -> str:
    """The kernels that took longest, and the rest in one line."""
    kernels, whole = found["kernels"], sum(time for *_, time, _ in found["kernels"])
    lines = [
        [name.replace("|", "/")[:90], at, kind, f"{calls:g}", f"{time:.3f}", share(time, whole)]
        for at, kind, name, time, calls in kernels[:top]
    ]
    rest = sum(time for *_, time, _ in kernels[top:])
    lines.append([f"{len(kernels[top:])} others", "", "", "", f"{rest:.3f}", share(rest, whole)])
    return grid(["kernel", "level", "part", "calls", "ms", "share"], lines)


def variant_table(variants: Mapping[str, Any]) -> str:
    """A line for each variant: the time of a step, and that of a patch by the first variant's."""
    first = next((found for found in variants.values() if "step_ms" in found), None)
    lines = []
    for name, found in variants.items():
        if first is None or "failed" in found:
            lines.append([name, "", found["failed"], ""])
            continue
        ratio = found["step_ms"] / found["patches"] / (first["step_ms"] / first["patches"])
        lines.append([name, str(found["patches"]), significant(found["step_ms"]), f"{ratio:.2f}"])
    return grid(["variant", "patches", "ms a step", "time of a patch by the first's"], lines)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--profile", default="paper", help="whose steps are made (default paper)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: with --profile tiny")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS), help="(default all)")
    parser.add_argument("--top", type=int, default=25, help="kernels that are listed (default 25)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="JSON of all that is measured")
    limits(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; without a GPU, say what would be measured. Raises LasslError."""
    asked = options(arguments)
    if asked.device == "cuda" and not torch.cuda.is_available():
        print(f"No GPU with CUDA here. With one, this shows where the time of a step at {asked.profile} scale goes,")
        print(f"by kernel and by level, {' and '.join(WAYS)}, and what these change: {', '.join(asked.variants)}.")
        return
    config = composed(asked.profile, device=asked.device)
    device = place(config.compute).device
    works = step_work(config, config.methods[ROW].batch.labeled)
    bandwidth, speed = 1e12 * asked.bandwidth, 1e12 * asked.tflops
    found: dict[str, Any] = {"machine": machine(device), "profile": asked.profile, "ways": {}, "variants": {}}
    found |= {"roofline": [asdict(work) for work in works], "bandwidth": bandwidth, "flop_per_second": speed}
    tasks = [("ways", name, partial(way, config, compiled, device)) for name, compiled in WAYS.items()]
    tasks += [("variants", name, partial(variant, config, name, device)) for name in asked.variants]
    for kind, name, measure in tqdm(tasks, desc="steps"):
        found[kind][name] = tried(measure)
        if asked.output:  # at once: the card may be gone before the end
            write_text(asked.output, json.dumps(found, indent=1) + "\n")
    print(", ".join(f"{key} {value}" for key, value in found["machine"].items()) + "\n")
    print(roofline_table(works, bandwidth, speed) + "\n")
    made = {name: measured for name, measured in found["ways"].items() if "failed" not in measured}
    for name in found["ways"].keys() - made.keys():
        print(f"{name}: {found['ways'][name]['failed']}\n")
    print(level_table(made, works, bandwidth, speed))
    for name, measured in made.items():
        whole = sum(time for *_, time, _ in measured["kernels"])
        print(f"\n{name}: a step takes {measured['step_ms']:.2f} ms; its kernels together, {whole:.2f} ms:\n")
        print(kernel_table(measured, asked.top))
    print("\n" + variant_table(found["variants"]))


if __name__ == "__main__":
    command(main)
