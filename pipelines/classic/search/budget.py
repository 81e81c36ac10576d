"""How a budget of seconds is shared out: the search, each fit, and what must be kept for the end.

Estimates come from the seconds of trials that are done. Under a budget of trials nothing here asks the clock.
"""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.classic.search.racing import Results, complete_configurations, judged_folds
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult

UNBOUNDED_SECONDS = 3600.0  # of one fit, where the budget is in trials: a fit that hangs must end some time
SHARE_OF_ONE_FIT = 0.25  # of the budget, as the spec says
SHARE_FOR_FIRST_FOLDS = 0.4  # of the search: the rest is for what survives them
KEPT_SHARE = 0.05  # of the budget, for selecting, saving and uploading
KEPT_SECONDS = 0.5
LIKELY_MEMBERS = 4  # of an ensemble; the refit of so many is kept time for
SLOWER = 1.3  # estimates are too low as often as too high, and threads share an interpreter
SHORTEST_FIT = 0.05
GRACE_SECONDS = 0.5  # for a fit that stops itself to answer before its process is ended


def default_fit_seconds(budget_seconds: float | None) -> float:
    """Return the bound of one fit: a quarter of the budget, or an hour where there is none in seconds."""
    return UNBOUNDED_SECONDS if budget_seconds is None else budget_seconds * SHARE_OF_ONE_FIT


class BudgetClock:
    """The seconds of one worker's search. Without a budget in seconds it never ends and bounds only what hangs."""

    def __init__(self, detail: SearchDetail, jobs: int, spent_seconds: float = 0.0) -> None:
        self.detail = detail
        self.jobs = jobs
        self.spent = spent_seconds

    def seconds_left(self, elapsed: float, results: Results) -> float:
        """Return how long new trials may still run: what is left, less what the end of the search will take."""
        if self.detail.budget_seconds is None:
            return float("inf")
        return self.detail.budget_seconds - self.spent - elapsed - self.kept_seconds(results)

    def kept_seconds(self, results: Results) -> float:
        """Return the seconds to keep for selection, the refit of the likely members, saving and uploading."""
        budget = self.detail.budget_seconds or 0.0
        folds = judged_folds(self.detail, results)
        names = complete_configurations(folds, results)
        best = sorted(names, key=lambda name: (sum(_loss(results[TrialKey(name, fold)]) for fold in folds), name))
        refits = refit_seconds(self.detail, results, best[:LIKELY_MEMBERS], self.jobs)
        return KEPT_SECONDS + KEPT_SHARE * budget + min(refits, 0.4 * budget)

    def soft_seconds(self, key: TrialKey, left: float) -> float | None:
        """Return when an iterative fit should stop by itself, so that every configuration gets its turn."""
        if self.detail.budget_seconds is None:
            return None if self.detail.max_fit_seconds >= UNBOUNDED_SECONDS else self.detail.max_fit_seconds
        turns = -(-len(self.detail.configurations) // self.jobs)
        share = self.detail.budget_seconds * SHARE_FOR_FIRST_FOLDS / turns
        fair = share if key.fold == 0 else 2 * share
        return max(SHORTEST_FIT, min(fair, self.detail.max_fit_seconds, left))

    def hard_seconds(self, left: float) -> float:
        """Return when a fit's process is ended."""
        return max(SHORTEST_FIT, min(self.detail.max_fit_seconds * 1.1, left) + GRACE_SECONDS)

    def fits_in(self, key: TrialKey, left: float, results: Results) -> bool:
        """Tell whether a trial can be done in the seconds left, by what the configuration's first fold took."""
        first = results.get(TrialKey(key.configuration, 0))
        return left > max(2 * SHORTEST_FIT, first.seconds if first is not None and key.fold else 0.0)


def _loss(result: TrialResult) -> float:
    return float("inf") if result.loss is None else result.loss


def refit_seconds(detail: SearchDetail, results: Results, names: Iterable[str], jobs: int) -> float:
    """Return the seconds that fitting configurations to all rows will take, by what their folds took."""
    each = [member_seconds(detail, results, name) for name in names]
    return max([sum(each) / max(1, jobs), *each], default=0.0)


def member_seconds(detail: SearchDetail, results: Results, name: str) -> float:
    """Return the seconds of one refit on one thread."""
    seconds = [
        result.seconds for key, result in results.items() if key.configuration == name and result.status == "done"
    ]
    if not seconds:
        return 0.0
    rows = detail.num_rows / detail.num_search_rows
    folds = detail.num_folds
    larger = 1.0 if detail.by_time else folds / max(1, folds - 1)
    return SLOWER * rows * larger * (max(seconds) if detail.by_time else sum(seconds) / len(seconds))
