"""Formats Markdown tables, and numbers for tables."""

import math
from collections.abc import Iterable, Sequence


def grid(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Format cells as a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, ["---"] * len(heads), *lines])


def number(value: float | None, sign: str = "", decimals: int = 2) -> str:
    """Format a score with `decimals`, and with a plus if `sign` is "+"; a dash if it is undefined."""
    if value is None or math.isnan(value):
        return "-"
    return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"  # + 0.0: no minus before a zero


def interval(low: float | None, high: float | None, sign: str = "", decimals: int = 2) -> str:
    """Format an interval in brackets, its ends as in `number`."""
    return f"[{number(low, sign, decimals)}, {number(high, sign, decimals)}]"


def probability(p: float | None) -> str:
    """Format a p-value with its relation, as in `= 0.053`."""
    return "undefined" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def significant(value: float) -> str:
    """Format a measurement with three digits, or with all digits before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def listed(values: Iterable[object]) -> str:
    """Join values with commas."""
    return ", ".join(map(str, values))
