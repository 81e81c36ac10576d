"""Every metric that an evaluation of either half may measure, and which way is better: what the gate knows of them."""

from __future__ import annotations

from pipelines.spec.fine_tuning import LLM_LOWER_IS_BETTER, LLM_METRICS
from pipelines.spec.training import LOWER_IS_BETTER, METRICS_BY_TASK

_CLASSIC = frozenset(name for names in METRICS_BY_TASK.values() for name in names)
KNOWN_METRICS = _CLASSIC | frozenset(LLM_METRICS)


def lower_is_better(metric: str) -> bool:
    """Tell whether a smaller value of a known metric is the better one.

    >>> lower_is_better("log_loss"), lower_is_better("perplexity"), lower_is_better("roc_auc")
    (True, True, False)
    """
    return metric in LOWER_IS_BETTER or metric in LLM_LOWER_IS_BETTER
