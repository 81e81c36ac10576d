"""Which trials a search needs, in which order: all configurations on the first fold, the good ones on the others.

Everything here follows from the plan and the results alone. So all workers agree without speaking to each other, and
under a budget of trials the set of trials is the same for any number of workers on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipelines.classic.search.configuration import Configuration
from pipelines.classic.search.trials import SearchDetail, TrialKey, TrialResult

CLEARLY_WORSE = 1.25  # times the best loss on the first fold, for very many rows
NOISE = 4.0  # over the root of the rows that judge: a loss is a mean, and a mean of few rows is uncertain
ENOUGH_CONFIGURATIONS = 5  # to choose an ensemble from
REFINED_CLEARLY_WORSE = 1.03  # what is refined must come near the best to be worth other folds

Results = Mapping[TrialKey, TrialResult]


def needed_trials(
    detail: SearchDetail, generations: Sequence[Sequence[Configuration]], results: Results
) -> list[TrialKey]:
    """Return all trials of the search as far as they are known, in order, whether they are done or not.

    While a first fold is not done yet, what follows it is a forecast from the results so far.

    Args:
        detail: The plan.
        generations: The plan's own configurations, then those that refinement added, generation by generation.
        results: What is done.
    """
    needed: list[TrialKey] = []
    for number, generation in enumerate(generations):
        needed += [TrialKey(configuration.name, 0) for configuration in generation]
        for name in surviving(generation, results, tolerance(detail, refined=number > 0)):
            needed += [TrialKey(name, fold) for fold in range(1, detail.num_folds)]
    return needed[: detail.budget_trials]


def tolerance(detail: SearchDetail, refined: bool) -> float:
    """Return how many times the best loss on the first fold is clearly worse, which takes more where few rows judge."""
    if refined:
        return REFINED_CLEARLY_WORSE
    return CLEARLY_WORSE + NOISE / math.sqrt(max(1.0, detail.num_search_rows / max(1, detail.num_folds)))


def surviving(generation: Sequence[Configuration], results: Results, tolerance: float) -> list[str]:
    """Return the names in a generation whose first fold is not clearly worse than the best of all, best first."""
    first = {
        key.configuration: result.loss for key, result in results.items() if key.fold == 0 and result.loss is not None
    }
    if not first:
        return []
    bound = min(first.values()) * tolerance
    own = [
        name for name in (configuration.name for configuration in generation) if first.get(name, float("inf")) <= bound
    ]
    return sorted(own, key=lambda name: (first[name], name))


def is_complete(needed: Sequence[TrialKey], results: Results) -> bool:
    """Tell whether every needed trial has a result."""
    return all(key in results for key in needed)


def judged_folds(detail: SearchDetail, results: Results) -> tuple[int, ...]:
    """Return the folds on which configurations are compared: as many as enough good configurations were judged on.

    A search that time cut short has many configurations with one fold and few with all; then one fold with a choice is
    worth more than all folds without.
    """
    tried = {key.configuration: result.configuration for key, result in results.items()}
    good = set(surviving(list(tried.values()), results, tolerance(detail, refined=False)))
    folds: dict[str, set[int]] = {}
    for key, result in results.items():
        if result.status == "done" and key.configuration in good:
            folds.setdefault(key.configuration, set()).add(key.fold)
    options = sorted({tuple(sorted(judged)) for judged in folds.values()}, key=lambda option: (-len(option), option))
    if not options:
        return ()
    counts = {option: sum(set(option) <= judged for judged in folds.values()) for option in options}
    enough = min(ENOUGH_CONFIGURATIONS, max(counts.values()))
    return next(option for option in options if counts[option] >= enough)


def complete_configurations(folds: Sequence[int], results: Results) -> list[str]:
    """Return the names of configurations that were judged on all of `folds`, in order of their names."""
    names = {key.configuration for key, result in results.items() if result.status == "done"}
    return sorted(
        name
        for name in names
        if all((key := TrialKey(name, fold)) in results and results[key].status == "done" for fold in folds)
    )
