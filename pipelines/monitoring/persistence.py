"""Tell what drifts and goes on drifting from what was there once, and when it is enough to speak up."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.records import ColumnDrift
from pipelines.spec.watching import KOfN

_ROUNDING = 1e-9  # weights are shares that were added up


def with_persistence(
    columns: Sequence[ColumnDrift], history: Sequence[Sequence[ColumnDrift]], rule: KOfN
) -> tuple[ColumnDrift, ...]:
    """Return `columns` with `persistent` told: drifted in this window, and in `needed` of the last `windows`.

    A column that is back where it was is not persistent, however far it has been: that was said when it was there.

    Args:
        columns: The drift of the newest window.
        history: The drift in the windows before it, oldest first. Windows that were never looked at are left out.
        rule: How often, of how many windows, the newest one included.
    """
    before = list(history)[-(rule.windows - 1) :] if rule.windows > 1 else []
    drifted = [{one.column for one in window if one.drifted} for window in before]
    return tuple(
        one.model_copy(
            update={"persistent": one.drifted and 1 + sum(one.column in found for found in drifted) >= rule.needed}
        )
        for one in columns
    )


def persistent_weight(columns: Sequence[ColumnDrift]) -> float:
    """Return the share of the champion's importance that the persistent columns hold together."""
    return sum(one.weight for one in columns if one.persistent)


def is_drift_alarm(columns: Sequence[ColumnDrift], minimum_weight: float) -> bool:
    """Tell whether persistent columns together matter enough: they hold at least `minimum_weight` of the importance."""
    return any(one.persistent for one in columns) and persistent_weight(columns) >= minimum_weight - _ROUNDING
