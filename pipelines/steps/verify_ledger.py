"""Check a model's ledger, all that each of its entries is bound to, and its chain of decisions."""

from __future__ import annotations

from typing import Any

from pipelines.errors import IntegrityError, TandemError
from pipelines.records import Candidate, Evaluation, LedgerEntry, Verdict
from pipelines.registry.alias import check_witness, read_shadow
from pipelines.registry.ledger import walk_ledger
from pipelines.steps.context import Context
from pipelines.steps.model_files import check_model
from pipelines.steps.verify_decisions import verify_decisions
from pipelines.store.verified import read_record


def verify_ledger(context: Context) -> dict[str, Any]:
    """Return every entry and every problem of a ledger, as plain JSON values. It changes nothing.

    Besides order, chain and seal of the entries it reads the verdict, evaluation, candidate and model of each by hash,
    and compares the ledger's end with what MLflow last saw of it: a ledger that was cut short shows only there.

    Returns:
        `model`; `entries`, oldest first, each with its own `sha256` and `problem` (None where all is well); `problems`,
        one sentence each, of entries that cannot be read too; `head_sha256`; `num_decisions` and
        `decisions_head_sha256`, of the decisions about retraining, whose problems are among the others; `verified`.
    """
    model = context.spec.name
    entries, lines, problems = list[LedgerEntry](), list[dict[str, Any]](), list[str]()
    for item in walk_ledger(context.store, model):
        if isinstance(item, IntegrityError):
            problems.append(str(item))
            continue
        problem = _problem_behind(context, item)
        problems += [problem] if problem else []
        entries.append(item)
        lines.append({**item.to_dict(), "sha256": item.sha256, "problem": problem})
    try:
        shadow = read_shadow(context.environment, model)
        if len(problems) == sum(line["problem"] is not None for line in lines):  # else entries are missing here anyway
            check_witness(entries, model, shadow)
    except TandemError as error:
        problems.append(str(error))
    decisions = verify_decisions(context)
    problems += decisions["problems"]
    return {
        "model": model,
        "entries": lines,
        "problems": problems,
        "head_sha256": entries[-1].sha256 if entries else None,
        "num_decisions": decisions["num_entries"],
        "decisions_head_sha256": decisions["head_sha256"],
        "verified": not problems,
    }


def _problem_behind(context: Context, entry: LedgerEntry) -> str | None:
    store = context.store
    try:
        verdict = read_record(store, entry.verdict_key, Verdict, entry.verdict_sha256)
        key = f"{entry.model}/evaluations/{verdict.evaluation_sha256}.json"
        read_record(store, key, Evaluation, verdict.evaluation_sha256)
        candidate = read_record(store, entry.candidate_key, Candidate, entry.candidate_sha256)
        check_model(store, candidate.model_key, entry.model_sha256)
    except TandemError as error:
        return f"Ledger entry {entry.seq} (version {entry.version}): {error}"
    return None
