"""Record that monitoring looked and no retraining follows: nothing is wrong, or a rule forbids it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pipelines.monitoring.policy import look, moment_of, text_of
from pipelines.records import Decided, DecisionEntry, DecisionState
from pipelines.registry.decisions import append_decision, decisions_back, last_decision
from pipelines.steps.context import Context

MOST_ENTRIES_BACK = 100  # a look that is tried again is found among these


def observe(
    context: Context,
    reasons: Sequence[str],
    evidence: Sequence[str],
    by: str,
    as_of: str | None = None,
    *,
    is_refused: bool = False,
) -> Decided:
    """Append `observed`, or `refused`, to the chain of decisions, once for the same look; return it as `none`.

    Args:
        context: The model's surroundings.
        reasons: Why no retraining follows, one sentence each.
        evidence: Hashes of the reports that were looked at.
        by: Who looked.
        as_of: The moment that was looked at, ISO 8601; the present where left out.
        is_refused: Whether there was reason for a retraining, and a rule forbids it.

    Raises:
        UsageError: If the moment is no time, or lies more than a day ahead.
        IntegrityError: If the chain of decisions was altered.
        StoreError: If the store does not answer; looking again is safe.
    """
    store, model = context.store, context.spec.name
    now = datetime.now(UTC)
    moment = moment_of(as_of, now)
    said = {
        "action": "refused" if is_refused else "observed",
        "reasons": tuple(reasons),
        "evidence": tuple(evidence),
        "by": by,
        "as_of": text_of(moment),
    }
    head = last_decision(store, model)
    known = _same(islice(decisions_back(store, model, head), MOST_ENTRIES_BACK), said)

    def draft(state: DecisionState, missed: Sequence[DecisionEntry]) -> dict[str, Any] | None:
        nonlocal known
        known = known or _same(missed, said)
        return None if known else {**said, "at": text_of(now), "state": look(state, moment)}

    entry = append_decision(store, model, head, draft) or known
    assert entry is not None
    return Decided(
        model=model,
        outcome="none",
        request_id=None,
        run_id=None,
        run_after=None,
        reasons=entry.reasons,
        entry_seq=entry.seq,
        as_of=entry.as_of,
    )


def _same(entries: Iterable[DecisionEntry], said: dict[str, Any]) -> DecisionEntry | None:
    return next((entry for entry in entries if all(getattr(entry, key) == value for key, value in said.items())), None)
