"""How every picture looks: one hand, one set of colours, and a title that says what is good.

Pictures are drawn on figures of their own, never through pyplot, whose global state threads and tests would share.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

CHALLENGER = "#0072B2"  # Okabe and Ito's palette: told apart by colour-blind eyes too, and in grey
CHAMPION = "#D55E00"
REFERENCE = "#777777"
GRID = "#DDDDDD"
_DOTS_PER_INCH = 110
_LABELS_INCHES = 2.0  # what tick labels and margins take of a figure's width
_CHARACTER_INCHES = 0.078  # mean width at 10 points
_LINE_POINTS = 13


def new_figure(width: float = 7.2, height: float = 5.4) -> Figure:
    """Return an empty figure; sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def dress(axes: Any, title: str, what_is_good: str, x_label: str, y_label: str) -> None:
    """Give axes their title, beneath it in words what a good picture looks like, labels and a quiet grid."""
    room_in_characters = int((axes.figure.get_figwidth() - _LABELS_INCHES) / _CHARACTER_INCHES)
    lines = textwrap.wrap(what_is_good, room_in_characters)
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=10 + _LINE_POINTS * len(lines))
    beneath = axes.annotate(
        "\n".join(lines), (0, 1), (0, 6), "axes fraction", "offset points", fontsize=10, color="#444444", va="bottom"
    )
    beneath.set_in_layout(False)  # else a long line would squeeze the picture; it is wrapped instead
    axes.set_xlabel(x_label, fontsize=10)
    axes.set_ylabel(y_label, fontsize=10)
    plain(axes)


def plain(axes: Any) -> None:
    """Take away what carries no information: the upper and right frame, dark grids."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write `<folder>/<name>.png` without a date or a version in it, so that the same figure gives the same bytes."""
    path = folder / f"{name}.png"
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return path
