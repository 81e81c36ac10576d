"""Decide whether what monitoring found is reason to train again, and record the decision, also a no."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pipelines.data.pages.addresses import report_url
from pipelines.errors import RegistryError
from pipelines.monitoring.policy import look, moment_of, next_start, text_of
from pipelines.monitoring.reasons import Found, find_reason, request_for
from pipelines.records import Decided, DecisionEntry, DecisionState, Monitored, MonitoringReport
from pipelines.registry.decisions import append_decision, last_decision, state_after
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.registry.monitored import show_monitored
from pipelines.steps.context import Context
from pipelines.steps.gpu_hours import forecast_gpu_hours
from pipelines.steps.monitoring import write_page
from pipelines.steps.reports import Reports
from pipelines.steps.request import request, sweep
from pipelines.store.verified import read_record

LOG = logging.getLogger(__name__)
_BY = "monitoring"


def decide(context: Context, monitored: Monitored) -> Decided:
    """Return what came of the newest window: a retraining to be started, or none and why; the page shows it.

    While cooldown or budget would hold a retraining back, monitoring asks for none: it looks again at the next window,
    with newer evidence. A run that is pending already is named again, so that Airflow surely holds it.

    Raises:
        IntegrityError: If a report, the ledger or the chain of decisions is not what was written.
        StoreError: If the store does not answer; deciding again is safe.
    """
    kept, as_of = context.within(monitored.replay), monitored.as_of
    moment = moment_of(as_of, datetime.now(UTC))
    for key, sha256 in zip(monitored.report_keys, monitored.report_sha256s, strict=True):
        read_record(kept.store, key, MonitoringReport, sha256)
    reports = Reports(kept.store, context.spec, moment)
    history = reports.last()
    serving = champion_entry(read_ledger(context.store, context.spec.name))
    champion = serving.sha256 if serving else ""
    found = find_reason(history, context.spec, champion)
    pending = sweep(kept, as_of)
    if found.reason is not None and pending.run_id is None and (held := _held(context, kept, moment)):
        decided = _say_no(kept, "refused", Found(None, (*found.sentences, *held)), history, moment)
    elif found.reason is not None:
        decided = request(kept, request_for(found, history, champion, _BY, monitored.replay), as_of)
        if decided.outcome == "known" and decided.run_id != pending.run_id:
            told = f"{decided.run_id} began for that very reason, and nothing has come since"
            decided = _say_no(kept, "refused", Found(None, (*found.sentences, told)), history, moment)
    else:
        decided = _say_no(kept, "observed", found, history, moment)
        if pending.run_id is not None:
            decided = pending
    decided = decided.model_copy(update={"replay": monitored.replay, "as_of": as_of})
    key = write_page(context, reports, decided)
    if monitored.replay is None and history:
        _show(context, history, key)
    return decided.model_copy(update={"report_key": key})


def _show(context: Context, history: Sequence[MonitoringReport], key: str) -> None:
    """Show the windows in MLflow; a decision does not wait for it."""
    page = context.store.read(key).decode()
    try:
        show_monitored(context.environment, history, page, report_url(context.environment, key))
    except RegistryError as error:
        LOG.warning("%s", error)


def _held(context: Context, kept: Context, moment: datetime) -> tuple[str, ...]:
    """Return what would keep a retraining from beginning now, nothing where it may."""
    rules = context.spec.retraining
    hours = forecast_gpu_hours(context) if rules.weekly_gpu_hours is not None else 0.0
    state = state_after(last_decision(kept.store, context.spec.name))
    start, reasons = next_start(state.begun, rules, moment, hours)
    return reasons if start > moment else ()


def _say_no(
    kept: Context,
    action: Literal["observed", "refused"],
    found: Found,
    history: Sequence[MonitoringReport],
    moment: datetime,
) -> Decided:
    """Append that nothing is asked for, unless that is the last thing that was said."""
    store, model = kept.store, kept.spec.name
    head = last_decision(store, model)
    evidence = tuple(report.sha256 for report in history[-1:])

    def draft(state: DecisionState, missed: Sequence[DecisionEntry]) -> dict[str, Any] | None:
        last = missed[-1] if missed else head
        said = None if last is None else (last.action, last.evidence, last.reasons)
        if said == (action, evidence, found.sentences):
            return None
        return {
            "action": action,
            "reasons": found.sentences,
            "evidence": evidence,
            "by": _BY,
            "at": text_of(datetime.now(UTC)),
            "as_of": text_of(moment),
            "state": look(state, moment),
        }

    entry = append_decision(store, model, head, draft) or head
    return Decided(
        model=model,
        outcome="none",
        request_id=None,
        run_id=None,
        run_after=None,
        reasons=found.sentences,
        entry_seq=entry.seq if entry else None,
        as_of=text_of(moment),
    )
