"""Pictures of figures with their intervals: each slice beside all rows, and challenger minus champion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from pipelines.gates.pictures.style import CHALLENGER, CHAMPION, REFERENCE, dress, new_figure, plain
from pipelines.records import MetricValue, PairedDifference
from pipelines.spec.gates import GateRule, Gates
from pipelines.spec.metrics import lower_is_better

_MOST_SLICES = 40
_LONGEST_NAME = 32


def draw_slices(
    metric: str, challenger: Sequence[MetricValue], champion: Sequence[MetricValue], gates: Gates
) -> Figure:
    """Draw one metric on all rows and on each slice, with 95 % intervals and the gate's bounds; the champion beside it.

    Of more than 40 slices those with the most rows are shown.
    """
    shown = _largest([figure for figure in challenger if figure.metric == metric])
    champions = {figure.slice: figure for figure in champion if figure.metric == metric}
    figure = new_figure(7.6, 2.2 + 0.36 * len(shown) * (1.3 if champions else 1.0))
    axes = figure.add_subplot()
    for place, value in enumerate(shown):
        _interval(axes, value, place - (0.14 if champions else 0.0), CHALLENGER, "challenger" if place == 0 else None)
        if value.slice in champions:
            label = "champion" if place == 0 else None
            _interval(axes, champions[value.slice], place + 0.14, CHAMPION, label)
    _bounds(axes, metric, gates, [value.slice for value in shown])
    axes.set_yticks(range(len(shown)), [f"{_short(value.slice)} ({value.num_rows:,} rows)" for value in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    better = "left" if lower_is_better(metric) else "right"
    left_out = sum(figure.metric == metric for figure in challenger) - len(shown)
    rest = f" {left_out} smaller slices are not shown." if left_out else ""
    dress(
        axes, f"{metric} by slice", f"Good: far to the {better}, and no slice far behind the others.{rest}", metric, ""
    )
    axes.grid(axis="y", visible=False)
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower right", ncols=4, frameon=False, fontsize=9)
    return figure


def draw_differences(differences: Sequence[PairedDifference], gates: Gates, other: str = "champion") -> Figure:
    """Draw challenger minus another model on all rows, one scale a metric, turned so that right is better everywhere.

    Args:
        differences: To the champion, or to the pretrained base.
        gates: The rules, whose margins are drawn.
        other: champion or base.
    """
    shown = [difference for difference in differences if difference.slice == "all"]
    margins = {rule.metric: margin for rule in gates.rules if rule.slice is None for margin in _margins(rule, other)}
    figure = new_figure(8.2, 1.5 + 0.62 * len(shown))
    rows = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, difference in zip(rows, shown, strict=True):
        _difference(axes, difference, margins.get(difference.metric))
    figure.suptitle(f"Challenger against {other}, on the same rows", x=0.01, ha="left", fontsize=13, fontweight="bold")
    rule = " Red: what the gate asks for at least." if margins else ""
    figure.supxlabel(
        f"Good: right of 0, where the challenger is better. Bars: 95 % paired intervals.{rule}", fontsize=10
    )
    return figure


def _margins(rule: GateRule, other: str) -> list[float]:
    """Return the least difference that a rule asks for, turned so that more is better; of two the stricter last."""
    if other == "champion":
        return [] if rule.no_worse_than_champion_by is None else [-rule.no_worse_than_champion_by]
    loss = [] if rule.no_worse_than_base_by is None else [-rule.no_worse_than_base_by]
    return loss if rule.better_than_base_by is None else [*loss, rule.better_than_base_by]


def _interval(axes: Any, figure: MetricValue, place: float, colour: str, label: str | None) -> None:
    if figure.value is None:
        axes.text(
            0.01,
            place,
            "not measured",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
        return
    if figure.low is not None and figure.high is not None:
        axes.plot([figure.low, figure.high], [place, place], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([figure.value], [place], "o", color=colour, markersize=6, label=label)


def _bounds(axes: Any, metric: str, gates: Gates, names: Sequence[str]) -> None:
    for rule in gates.rules:
        if rule.metric != metric:
            continue
        first, last = _span(rule, names)
        if last < first:
            continue
        for sign, bound in ((">=", rule.minimum), ("<=", rule.maximum)):
            if bound is not None:
                where = "all rows" if rule.slice is None else f"each {rule.slice}"
                axes.plot([bound, bound], [first - 0.4, last + 0.4], color="#B00020", linewidth=1.5, linestyle="--",
                          label=f"gate, {where}: {sign} {bound:g}")  # fmt: skip


def _span(rule: GateRule, names: Sequence[str]) -> tuple[int, int]:
    """Return the first and last place that a rule speaks of; last before first where it is none."""
    places = [
        p
        for p, name in enumerate(names)
        if (name == "all" if rule.slice is None else name.startswith(f"{rule.slice}="))
    ]
    return (places[0], places[-1]) if places else (0, -1)


def _difference(axes: Any, difference: PairedDifference, margin: float | None) -> None:
    sign = -1.0 if lower_is_better(difference.metric) else 1.0
    axes.axvline(0, color=REFERENCE, linewidth=1)
    axes.set_yticks([0], [difference.metric])
    axes.set_ylim(-1, 1)
    plain(axes)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    if difference.value is None or difference.low is None or difference.high is None:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", fontsize=9)
        return
    ends = sorted((sign * difference.low + 0.0, sign * difference.high + 0.0))  # + 0: no difference has no sign
    axes.plot(ends, [0, 0], color=CHALLENGER, linewidth=3, solid_capstyle="butt")
    axes.plot([sign * difference.value], [0], "o", color=CHALLENGER, markersize=7)
    if margin is not None:
        axes.axvline(margin, color="#B00020", linewidth=1.5, linestyle="--")
    reach = 1.15 * max(abs(ends[0]), abs(ends[1]), abs(margin or 0.0)) or 1.0
    axes.set_xlim(-reach, reach)
    text = f"{sign * difference.value + 0.0:+.3g} [{ends[0]:+.3g}, {ends[1]:+.3g}]"
    axes.text(1.01, 0.5, text, transform=axes.transAxes, va="center", fontsize=9)


def _largest(figures: Sequence[MetricValue]) -> list[MetricValue]:
    """Return the figures of the largest slices in their own order, all rows first."""
    kept = {figure.slice for figure in sorted(figures, key=lambda one: -one.num_rows)[:_MOST_SLICES]}
    return [figure for figure in figures if figure.slice in kept]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
