"""The picture of a replay: three models on the same months, where a training ran, and what was seen beneath."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.figure import Figure

from pipelines.gates.pictures.style import CHALLENGER, REFERENCE, dress, new_figure, plain
from pipelines.monitoring.pictures.axis import shortened
from pipelines.monitoring.replay import ReplayMonth, Score
from pipelines.spec.metrics import lower_is_better

WIDE, NARROW = 11.6, 3.9  # inches: 1,276 and 429 pixels
_ORACLE, _ALARM, _DRIFT = "#009E73", "#B00020", "#E69F00"  # with the hand's own, all from one palette
_WIDTH_PER_LABEL, _SIDES = 0.75, 0.9  # inches
_LONGEST_LABEL = 12


def draw_replay(months: Sequence[ReplayMonth], metric: str, width: float = WIDE) -> Figure:
    """Draw a metric of the frozen champion, of what served and of the oracle, with 95 % intervals; beneath it drift.

    A training is a line between the month that asked for it and the next, with a filled triangle where its model was
    promoted and an empty one where it was not.

    Args:
        months: Oldest first; scores that are None leave gaps.
        metric: What was measured.
        width: Inches; `NARROW` is for a phone.
    """
    figure = new_figure(width, 6.4)
    above, beneath = figure.subplots(2, 1, sharex=True, height_ratios=[4.2, 1])
    kinds: tuple[tuple[str, Callable[[ReplayMonth], Score | None], str, str, str, float], ...] = (
        ("first champion, frozen", lambda month: month.frozen, REFERENCE, "s", "--", -0.09),
        ("oracle, trained again for every month", lambda month: month.oracle, _ORACLE, "^", ":", 0.09),
        ("what served", lambda month: month.served, CHALLENGER, "o", "-", 0.0),
    )
    for label, score, colour, marker, line, aside in kinds:
        _line(above, [score(month) for month in months], label, colour, marker, line, aside)
    better = "low" if lower_is_better(metric) else "high"
    good = f"Good: what served stays near the oracle, with few retrainings. {better.capitalize()} is better."
    dress(above, f"{metric} by month", f"{good} Bars: 95 % intervals.", "", metric)
    above.margins(y=0.12)
    if not any(score(month) for _, score, *_ in kinds for month in months):
        above.text(0.5, 0.5, "not measured yet", transform=above.transAxes, ha="center", fontsize=10)
        above.set_yticks([])
    _trainings(above, months)
    _versions(above, months)
    _seen(beneath, months)
    every = max(1, math.ceil(_WIDTH_PER_LABEL * len(months) / (width - _SIDES)))
    places = range(0, len(months), every)
    beneath.set_xticks(places, [shortened(months[place].window_name, _LONGEST_LABEL) for place in places])
    beneath.set_xlim(-0.6, max(len(months), 1) - 0.4)
    figure.legend(loc="outside lower left", ncols=3 if width > 8 else 1, frameon=False, fontsize=9)
    return figure


def _line(
    axes: Any, scores: Sequence[Score | None], label: str, colour: str, marker: str, line: str, aside: float
) -> None:
    """Draw one model a little aside of the others, so that intervals do not hide each other."""
    known = [(place + aside, score) for place, score in enumerate(scores) if score is not None]
    for place, score in known:
        if score.low is not None and score.high is not None:
            axes.plot([place, place], [score.low, score.high], color=colour, linewidth=1.6, alpha=0.55)
    values = [float("nan") if score is None else score.value for score in scores]
    places = [place + aside for place in range(len(scores))]
    axes.plot(places, values, line, marker=marker, color=colour, linewidth=2, markersize=6, label=label)


def _trainings(axes: Any, months: Sequence[ReplayMonth]) -> None:
    bottom = axes.get_ylim()[0]
    for was_promoted, label in ((True, "retraining, promoted"), (False, "retraining, not promoted")):
        places = [
            place + 0.5
            for place, month in enumerate(months)
            if month.retrained and (month.promoted_version is not None) == was_promoted
        ]
        if not places:
            continue
        axes.vlines(places, 0, 1, transform=axes.get_xaxis_transform(), color=CHALLENGER, linewidth=1, alpha=0.4)
        face = CHALLENGER if was_promoted else "white"
        axes.plot(
            places, [bottom] * len(places), "^", color=CHALLENGER, markerfacecolor=face, markersize=10, label=label,
            clip_on=False, zorder=5,
        )  # fmt: skip
    axes.set_ylim(bottom=bottom)


def _versions(axes: Any, months: Sequence[ReplayMonth]) -> None:
    """Write which version served, above the first month that it served in."""
    before: int | None = None
    for place, month in enumerate(months):
        if month.served_version is not None and month.served_version != before:
            axes.text(place, 0.985, f"v{month.served_version}", transform=axes.get_xaxis_transform(), ha="center",
                      va="top", fontsize=9, color=CHALLENGER, fontweight="bold")  # fmt: skip
        before = month.served_version if month.served_version is not None else before


def _seen(axes: Any, months: Sequence[ReplayMonth]) -> None:
    """Draw how many columns drifted and how many alarms stood, side by side, with their numbers."""
    highest = max([1, *(month.num_drifted for month in months), *(month.num_alarms for month in months)])
    groups = (
        ("drifted columns", [month.num_drifted for month in months], _DRIFT, -0.19, ""),
        ("alarms", [month.num_alarms for month in months], _ALARM, 0.19, "//"),
    )
    for label, counts, colour, aside, hatch in groups:
        places = [place + aside for place in range(len(months))]
        axes.bar(places, counts, 0.34, color=colour, label=label, hatch=hatch, edgecolor="white", linewidth=0)
        for place, count in zip(places, counts, strict=True):
            if count and len(months) <= 15:
                axes.text(place, count, f"{count}", ha="center", va="bottom", fontsize=8)
    axes.set_ylim(0, 1.3 * highest)
    axes.set_yticks([])
    axes.set_ylabel("seen", fontsize=10)
    plain(axes)
    axes.spines["left"].set_visible(False)
