"""The colors of page and pictures, light and dark: one place, whose contrast the tests measure."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Colors:
    """Colors by what they are for, in CSS's notation; `rows` in the order of rows, for all kinds of sight."""

    page: str
    text: str
    soft: str  # of remarks
    line: str  # of borders that only decorate
    panel: str
    accent: str  # of links, focus and chosen things
    dot: str
    reference: str
    inside: str
    outside: str
    equal: str  # between inside and outside
    band: str
    rows: tuple[str, ...]

    def css(self) -> str:
        """The colors as declarations of CSS variables."""
        single = [f"--{each.name}: {getattr(self, each.name)};" for each in fields(self) if each.name != "rows"]
        return " ".join(single + [f"--row{n}: {color};" for n, color in enumerate(self.rows)])


LIGHT = Colors(
    page="#ffffff",
    text="#1b1b1b",
    soft="#595959",
    line="#d0d0d0",
    panel="#f4f4f4",
    accent="#005a92",
    dot="#0b6aa8",
    reference="#7a6a00",
    inside="#0072b2",
    outside="#c44601",
    equal="#8a8a8a",
    band="#e6ecf1",
    rows=("#0072b2", "#a86400", "#007d5a", "#b0477f", "#c44601", "#2b7fb0", "#6b6b6b"),
)
DARK = Colors(
    page="#15171a",
    text="#ececec",
    soft="#b0b0b0",
    line="#44484d",
    panel="#212429",
    accent="#7cc4f0",
    dot="#7cc4f0",
    reference="#f7ef6a",
    inside="#56b4e9",
    outside="#f0803c",
    equal="#8a8a8a",
    band="#26323d",
    rows=("#4aa8e0", "#e69f00", "#2fbf8f", "#e08fbc", "#f0803c", "#8ccdf2", "#a0a0a0"),
)
THEMES = {"light": LIGHT, "dark": DARK}
GITHUB = {"light": "#ffffff", "dark": "#0d1117"}  # the pages that pictures of README.md stand on


def variables() -> Colors:
    """The colors as references to the CSS variables of a page, which follow its theme."""
    names = {each.name: f"var(--{each.name})" for each in fields(Colors) if each.name != "rows"}
    return Colors(**names, rows=tuple(f"var(--row{n})" for n in range(len(LIGHT.rows))))


def contrast(first: str, second: str) -> float:
    """The contrast of two colors (#rrggbb), 1 to 21, as WCAG 2 defines it."""
    low, high = sorted(map(_luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    """Relative luminance of a color (#rrggbb)."""
    parts = (int(color[n : n + 2], 16) / 255 for n in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
