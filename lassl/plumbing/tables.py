"""Tables as Markdown, and numbers as they stand in tables."""

import math
from collections.abc import Iterable, Sequence


def grid(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Lay cells out as a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, ["---"] * len(heads), *lines])


def number(value: float | None, sign: str = "", decimals: int = 2) -> str:
    """Write a score with so many decimals, and with sign "+" also the plus; a dash for one that is undefined."""
    if value is None or math.isnan(value):
        return "-"
    return f"{round(value, decimals) + 0.0:{sign}.{decimals}f}"  # + 0.0: no minus before a zero


def interval(low: float | None, high: float | None, sign: str = "", decimals: int = 2) -> str:
    """Write an interval in brackets, its ends as `number` does."""
    return f"[{number(low, sign, decimals)}, {number(high, sign, decimals)}]"


def probability(p: float | None) -> str:
    """Write a p-value with the sign before it, as in `= 0.053`."""
    return "undefined" if p is None else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def significant(value: float) -> str:
    """Write a measurement with three digits, or all that come before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def listed(values: Iterable[object]) -> str:
    """Join values with commas."""
    return ", ".join(map(str, values))
