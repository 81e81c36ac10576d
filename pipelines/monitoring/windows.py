"""What is known of each window: its newest report, and of what was estimated before labels came, the first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipelines.data.periods import period_span
from pipelines.records.monitoring import MonitoringReport, PerformanceValue
from pipelines.spec.watching import WEEKDAYS, Weekday

FOLDER = "monitoring/windows"
"""Where all reports of a model lie, each under its window's name."""

MOST_WINDOWS = 31  # a month of days; what is shown and compared costs the same, however many there are


@dataclass(frozen=True)
class WindowView:
    """One window as it is known now; `reports` are all that were made of it, oldest first."""

    reports: tuple[MonitoringReport, ...]

    @property
    def newest(self) -> MonitoringReport:
        """What is known of the window now."""
        return self.reports[-1]

    @property
    def name(self) -> str:
        """The window's name."""
        return self.newest.window_name

    def measured(self, metric: str) -> PerformanceValue | None:
        """Return the newest measured value of a metric, or None where no labels have come."""
        return _valued(self.newest.performance, metric)

    def estimated(self, metric: str) -> PerformanceValue | None:
        """Return what was estimated first of the champion that the newest report is about: before its labels came."""
        for report in self.reports:
            found = _valued(report.estimates, metric)
            if found is not None and report.champion_version == self.newest.champion_version:
                return found
        return None


@dataclass(frozen=True)
class Compared:
    """An estimate beside the truth that came later, and beside the truth of the window before."""

    window_name: str
    estimate: PerformanceValue
    truth: PerformanceValue
    last_known: float | None

    @property
    def error(self) -> float:
        """Estimate minus truth, in the metric's own unit."""
        assert self.estimate.value is not None
        assert self.truth.value is not None
        return self.estimate.value - self.truth.value

    @property
    def last_known_error(self) -> float | None:
        """The truth of the window before, minus this window's; None where there was none."""
        assert self.truth.value is not None
        return None if self.last_known is None else self.last_known - self.truth.value

    @property
    def is_inside(self) -> bool | None:
        """Whether the truth lies in the estimate's interval; None where the estimate has none."""
        low, high, truth = self.estimate.low, self.estimate.high, self.truth.value
        return None if low is None or high is None or truth is None else low <= truth <= high


def windows_of(history: Sequence[MonitoringReport], most: int = MOST_WINDOWS) -> list[WindowView]:
    """Return the last `most` windows, in the order in which they first appear in `history` (oldest first)."""
    reports: dict[str, list[MonitoringReport]] = {}
    for report in history:
        reports.setdefault(report.window_name, []).append(report)
    views = [WindowView(tuple(sorted(made, key=lambda one: one.as_of))) for made in reports.values()]
    return views[-most:]


def compare_estimates(windows: Sequence[WindowView], metric: str) -> list[Compared]:
    """Return every window's estimate beside its truth, where both are known, oldest first."""
    compared = []
    last_known: float | None = None
    for window in windows:
        estimate, truth = window.estimated(metric), window.measured(metric)
        if estimate is not None and truth is not None:
            compared.append(Compared(window.name, estimate, truth, last_known))
        if truth is not None:
            last_known = truth.value
    return compared


def is_resting(name: str, resting_days: Collection[Weekday]) -> bool:
    """Tell whether a window of one day is a day of the week on which the source rests.

    >>> is_resting("2013-01-05", ["saturday", "sunday"]), is_resting("2013-01-07", ["saturday", "sunday"])
    (True, False)
    """
    if not resting_days:
        return False
    start = period_span(name, "day")[0]
    return start is not None and WEEKDAYS[start.weekday()] in resting_days


def is_counted(report: MonitoringReport, resting_days: Collection[Weekday]) -> bool:
    """Tell whether a window says anything: one without rows says nothing, where the source rested."""
    return report.num_rows > 0 or not is_resting(report.window_name, resting_days)


def _valued(values: Sequence[PerformanceValue], metric: str) -> PerformanceValue | None:
    return next((one for one in values if one.metric == metric and one.value is not None), None)
