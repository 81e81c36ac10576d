"""Pictures of figures over the windows: the metric that decides, the others, and how well new rows are told apart."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.monitoring.headline import in_words, number
from pipelines.monitoring.pictures.lines import LineChart, Point, line_chart
from pipelines.monitoring.windows import WindowView
from pipelines.records.monitoring import PerformanceValue
from pipelines.spec import ModelSpec
from pipelines.spec.metrics import lower_is_better

NO_DIFFERENCE = 0.5  # ROC AUC of a classifier that cannot tell new rows from old


def shown_metrics(windows: Sequence[WindowView], deciding: str) -> list[str]:
    """Return the metric that decides, then every other that was measured or estimated in any window."""
    found = (one for window in windows for one in (*window.newest.performance, *window.newest.estimates))
    return list(dict.fromkeys([deciding, *sorted({one.metric for one in found if one.value is not None})]))


def performance_chart(windows: Sequence[WindowView], metric: str, spec: ModelSpec, deciding: str) -> LineChart:
    """Return one metric over the windows; the margin is drawn for the metric that decides alone."""
    measured = [window.measured(metric) for window in windows]
    estimated = [window.estimated(metric) for window in windows]
    references = [_reference(window, metric) for window in windows]
    margin = spec.monitoring.performance.may_drop_by * (1 if lower_is_better(metric) else -1)
    is_deciding = metric == deciding
    return line_chart(
        title=metric,
        alt=_in_words(metric, windows, measured, estimated),
        names=[window.name for window in windows],
        series={
            "estimated": [
                _point(window.name, guess, rings=truth is None)  # what was measured since says it better
                for window, guess, truth in zip(windows, estimated, measured, strict=True)
            ],
            "measured": [_point(window.name, value) for window, value in zip(windows, measured, strict=True)],
        },
        references=references,
        bounds=[value + margin if is_deciding and value is not None else None for value in references],
        bands=[f"version {window.newest.champion_version}" for window in windows] if is_deciding else (),
        is_small=not is_deciding,
    )


def joint_chart(windows: Sequence[WindowView]) -> LineChart | None:
    """Return how well a classifier tells each window's rows from the reference; None where it was never asked."""
    found = [window.newest.joint for window in windows]
    points = [
        None
        if one is None or one.auc is None
        else Point(one.auc, one.low, one.high, f"{window.name}: {number(one.auc)}", one.drifted)
        for window, one in zip(windows, found, strict=True)
    ]
    if not any(points):
        return None
    known = [f"{window.name} {number(one.auc)}" for window, one in zip(windows, found, strict=True) if one is not None]
    return line_chart(
        title="ROC AUC of telling new rows from reference rows",
        alt=f"How well a classifier tells new rows from reference rows, as ROC AUC: {', '.join(known)}.",
        names=[window.name for window in windows],
        series={"measured": points},
        references=[NO_DIFFERENCE] * len(windows),
        bounds=[None] * len(windows),
    )


def _reference(window: WindowView, metric: str) -> float | None:
    found = (*window.newest.performance, *window.newest.estimates)
    return next((one.reference for one in found if one.metric == metric and one.reference is not None), None)


def _point(window: str, one: PerformanceValue | None, rings: bool = True) -> Point | None:
    if one is None or one.value is None:
        return None
    text = f"{window}, {one.source}: {in_words(one)} on {one.num_rows:,} rows{', dropped' if one.dropped else ''}"
    return Point(one.value, one.low, one.high, text, one.dropped and rings)


def _in_words(
    metric: str,
    windows: Sequence[WindowView],
    measured: Sequence[PerformanceValue | None],
    estimated: Sequence[PerformanceValue | None],
) -> str:
    parts = []
    for kind, values in (("measured", measured), ("estimated", estimated)):
        known = [f"{window.name} {number(one.value)}" for window, one in zip(windows, values, strict=True) if one]
        parts.append(f"{kind} " + (", ".join(known) if known else "in no window"))
    dropped = [window.name for window, one in zip(windows, measured, strict=True) if one is not None and one.dropped]
    return f"{metric} by window: {'; '.join(parts)}; dropped in {', '.join(dropped) or 'none'}."
