"""One look for all plots: told apart by colour, and without it by marker, dash and a name on the spot.

Sizes are chosen for a phone: a figure is 4.4 inches wide with text of 9 points, which a screen of 390
pixels shows at about 11 pixels.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

WIDTH = 4.4
"""Inches."""
TEXT = 9.0
"""Points."""
INK, FAINT, GRID = "#1a1a1a", "#6b6b6b", "#d9d9d9"
DIVERGED = "#a50f15"
LINE_HEIGHT = 0.165
"""Inches from one label to the next."""
NAME = 1.35
"""Inches that a name may take in a plot."""

# Okabe and Ito's colours for all kinds of colour vision, without yellow, which paper swallows.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "*", "p")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))


class Style(NamedTuple):
    """How an arm is drawn, in every plot of a study."""

    color: str
    marker: str
    dash: Any


def styles(names: Sequence[str]) -> dict[str, Style]:
    """One style for each arm; no two of 84 are alike.

    >>> styles(["adam", "sgd"])["sgd"].marker
    's'
    """

    def pick(i: int) -> Style:
        return Style(_COLORS[i % len(_COLORS)], _MARKERS[i % len(_MARKERS)], _DASHES[i % len(_DASHES)])

    return {name: pick(i) for i, name in enumerate(names)}


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = TEXT, weight: str = "normal") -> float:
    """Inches that a line of text takes. Kept, as every plot of a page measures the same names."""
    if not text.strip():
        return 0.0
    return TextPath((0, 0), text, size=size, prop=FontProperties(weight=weight)).get_extents().width / 72.0


def fit(text: str, width: float, size: float = TEXT) -> str:
    """A name cut in its middle to so many inches, and with no sign that matplotlib takes for maths.

    >>> fit("adam", 1.0), fit("a_very_long_name_of_a_recipe_v2", 1.0)
    ('adam', 'a_very_...ipe_v2')
    """
    plain = text.replace("$", r"\$")
    whole = text_width(plain, size)
    if whole <= width:
        return plain
    for length in range(int(len(text) * width / whole) + 1, 1, -1):
        half = length // 2
        plain = f"{text[: length - half]}...{text[-half:]}".replace("$", r"\$")
        if text_width(plain, size) <= width:
            break
    return plain


def new_figure(height: float) -> Figure:
    """An empty figure of so many inches, on no background: the page has one."""
    return Figure(figsize=(WIDTH, height), facecolor="none")


def add_axes(figure: Figure, left: float, right: float, bottom: float, top: float) -> Axes:
    """Axes with margins in inches, in the house's look."""
    width, height = figure.get_size_inches()
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    axes = figure.add_axes(box)
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=TEXT - 0.5, length=3, color=FAINT)
    axes.grid(visible=True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def write_y_name(axes: Axes, name: str) -> None:
    """Names the vertical axis above it, where it can be read without turning the head."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    top = axes.get_position().y1 + 0.12 / figure.get_figheight()
    figure.text(0.02, top, fit(name, WIDTH - 0.2), size=TEXT, color=INK, va="bottom")


def write_x_name(axes: Axes, name: str) -> None:
    """Names the horizontal axis below it, centred on it as far as the figure's width allows."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    name = fit(name, WIDTH - 0.2)
    half = (text_width(name) / 2.0 + 0.08) / WIDTH
    centre = min(max((axes.get_position().x0 + axes.get_position().x1) / 2.0, half), 1.0 - half)
    figure.text(centre, 0.06 / figure.get_figheight(), name, size=TEXT, color=INK, ha="center", va="bottom")
