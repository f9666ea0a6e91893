"""A picture of a section: a grid of small images, each row with its name.

In results.json it is a PNG of the grid's own pixels, as text; on the page, and as a file, it is enlarged and its rows
are named.
"""

import base64
import io
from pathlib import Path

import numpy as np
from jaxtyping import Real
from matplotlib import image
from matplotlib.figure import Figure

from jaxlab.core.files import write_atomically
from jaxlab.report.plots import to_png
from jaxlab.report.sections import Picture
from jaxlab.report.style import INK, TEXT, WIDTH, fit, new_figure, text_width

NAME = 1.3
"""Inches that a row's name may take."""


def encoded(grid: Real[np.ndarray, "rows columns channels"]) -> str:
    """A grid of bytes, grey or RGB, as a PNG in base64.

    >>> decoded(encoded(np.zeros((4, 6, 1), np.uint8))).shape
    (4, 6, 3)
    """
    colours = np.broadcast_to(np.asarray(grid, np.uint8), (*grid.shape[:2], 3))
    buffer = io.BytesIO()
    image.imsave(buffer, np.ascontiguousarray(colours), format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def decoded(png: str) -> Real[np.ndarray, "rows columns 3"]:
    """The grid again, from 0 to 1."""
    return image.imread(io.BytesIO(base64.b64decode(png)), format="png")[..., :3]


def draw(picture: Picture) -> Figure:
    """The grid with its rows' names on its left, on white."""
    grid, names = decoded(picture["png"]), [fit(name, NAME) for name in picture["rows"]]
    left, margin = 0.2 + max(text_width(name) for name in names), 0.04
    width = WIDTH - left - margin
    height = width * grid.shape[0] / grid.shape[1]
    figure = new_figure(height + 2 * margin)
    total = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, margin / total, width / WIDTH, height / total))
    axes.imshow(grid, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for place, name in enumerate(names):
        middle = 1 - (margin + height * (place + 0.5) / len(names)) / total
        figure.text((left - 0.08) / WIDTH, middle, name, size=TEXT, color=INK, ha="right", va="center")
    return figure


def png_of(picture: Picture) -> bytes:
    """What the page shows, as a file's content."""
    return to_png(draw(picture), dpi=220)


def write_picture(picture: Picture, folder: str | Path) -> Path:
    """Writes the picture as a PNG named as it is, and returns where."""
    path = Path(folder) / f"{picture['name']}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png_of(picture))
    return path
