"""Show what monitoring found, window by window, on one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from pipelines.data.pages.templates import page_templates
from pipelines.data.quality.wording import percent
from pipelines.errors import UsageError
from pipelines.monitoring.headline import Headline, headline, in_words, number
from pipelines.monitoring.pictures.bars import CUT_AT, HEIGHT, MOST_CARDS, ColumnCard, alarm_y, drift_cards, state
from pipelines.monitoring.pictures.lines import LineChart
from pipelines.monitoring.pictures.performance import joint_chart, performance_chart, shown_metrics
from pipelines.monitoring.reasons import deciding_metric
from pipelines.monitoring.windows import FOLDER, Compared, WindowView, compare_estimates, windows_of
from pipelines.records import sha256_of
from pipelines.records.monitoring import Anomaly, ColumnDrift, Decided, MonitoringReport
from pipelines.spec import ModelSpec

_SEVERITIES = ("critical", "warning", "info")
_MOST_EARLIER_ALARMS = 12

_ENVIRONMENT = page_templates("pipelines.monitoring")
_MEASURES = {"ks": "KS", "total_variation": "total variation", "words": "words", "centroid": "embeddings"}
_ENVIRONMENT.filters |= {"percent": percent, "number": number, "figure": in_words, "state": state}
_ENVIRONMENT.filters["measure"] = _MEASURES.__getitem__


@dataclass(frozen=True)
class Page:
    """All that the page shows. It names no time of its own: the same records give the same page."""

    spec: ModelSpec
    metric: str
    headline: Headline
    decided: Decided | None
    windows: Sequence[WindowView]
    charts: Sequence[LineChart]
    cards: Sequence[ColumnCard]
    prediction_cards: Sequence[ColumnCard]
    joint: LineChart | None
    compared: Sequence[Compared]
    num_before: int
    folder: str

    @property
    def newest(self) -> MonitoringReport:
        """The report of the newest window."""
        return self.windows[-1].newest

    @property
    def columns(self) -> list[ColumnDrift]:
        """The newest window's columns, those first that matter and moved most."""
        return [card.newest for card in self.cards if card.newest is not None]

    def has(self, measure: str) -> bool:
        """Tell whether a column of the newest window is compared so."""
        return any(one.measure == measure for one in (*self.newest.columns, *self.newest.predictions))

    @property
    def alarms(self) -> list[Anomaly]:
        """The newest window's anomalies, the worst first."""
        return sorted(self.newest.anomalies, key=lambda one: _SEVERITIES.index(one.severity))

    @property
    def earlier_alarms(self) -> list[tuple[str, Anomaly]]:
        """Anomalies of the windows before, the newest window first, in each the worst first."""
        return [
            (window.name, one)
            for window in reversed(self.windows[:-1])
            for one in sorted(window.newest.anomalies, key=lambda one: _SEVERITIES.index(one.severity))
        ]

    @property
    def mean_errors(self) -> tuple[float, float] | None:
        """Mean absolute error of the estimate and of the window before's truth, on the windows that have both."""
        pairs = [(one.error, one.last_known_error) for one in self.compared]
        both = [(abs(error), abs(last)) for error, last in pairs if last is not None]
        return (fmean(error for error, _ in both), fmean(last for _, last in both)) if both else None


def render_report(
    history: Sequence[MonitoringReport], decided: Decided | None, spec: ModelSpec, num_before: int = 0
) -> str:
    """Return the page as HTML: styles and pictures inside it, no scripts, nothing from elsewhere.

    Args:
        history: Reports, oldest window first. Of a window there may be several, made as its labels came: the newest
            is shown, and the first one's estimate is held against the truth. The last 31 windows are drawn.
        decided: What was decided about the newest window; None where nothing was yet.
        spec: The model, whose alarm lines and margin are drawn.
        num_before: Windows before those of the history.

    Raises:
        UsageError: If there is no report.
    """
    if not history:
        raise UsageError(f"{spec.name}: there is no monitoring report to show. No page was written.")
    windows = windows_of(history)
    metric = deciding_metric(spec)
    alarm = spec.monitoring.drift.minimum_distance
    return _ENVIRONMENT.get_template("monitoring.html").render(
        card_height=HEIGHT,
        alarm_y=alarm_y(),
        cut_at=round(CUT_AT),
        most_cards=MOST_CARDS,
        most_earlier=_MOST_EARLIER_ALARMS,
        page=Page(
            spec=spec,
            metric=metric,
            headline=headline(windows[-1].newest, decided, metric),
            decided=decided,
            windows=windows,
            charts=[performance_chart(windows, name, spec, metric) for name in shown_metrics(windows, metric)],
            cards=drift_cards(windows, "columns", alarm),
            prediction_cards=drift_cards(windows, "predictions", alarm),
            joint=joint_chart(windows),
            compared=compare_estimates(windows, metric),
            num_before=num_before + len({report.window_name for report in history}) - len(windows),
            folder=f"{spec.name}/{FOLDER}/",
        ),
    )


def report_key(model: str, page: str) -> str:
    """Return where a page is stored: by the hash of what it says, so that the same page is stored once."""
    return f"{model}/reports/monitoring/{sha256_of(page.encode())}.html"
