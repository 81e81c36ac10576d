"""Measure a fine-tuned model on held-out answers, in general and for safety, beside its base and the champion."""

from __future__ import annotations

from functools import partial

import pyarrow as pa

from pipelines.data.predictions import write_predictions
from pipelines.data.slices import slice_columns, slices_of
from pipelines.data.snapshots import read_holdout, read_manifest
from pipelines.gates.bootstrap import seed_from
from pipelines.llm.evaluation.holdout import HeldOut, choose_held_out
from pipelines.llm.evaluation.measuring import OVERALL, measure_all
from pipelines.llm.evaluation.models import check_base, found_in_store, score_all
from pipelines.llm.evaluation.parts import parts_of, read_canaries
from pipelines.llm.evaluation.showing import answers_page, draw
from pipelines.llm.evaluation.table import scores_table
from pipelines.llm.pretrained import open_pretrained
from pipelines.llm.suites import ITEMS_SEED
from pipelines.records import Candidate, Evaluation
from pipelines.spec import LlmSpec
from pipelines.spec.gates import Gates
from pipelines.steps.answers import answers_key
from pipelines.steps.context import Context
from pipelines.steps.evaluating import evidence_of, find_champion, keep_evidence

CONTENT_COLUMN = "content_sha256"  # of a conversation, whatever group of near-duplicates it is in


def evaluate(context: Context[LlmSpec], candidate: Candidate) -> Evaluation:
    """Store and return the evidence, with each item's scores of all models; show it in the candidate's run.

    The same candidate, holdout and champion give the same evaluation; what was scored once is read from the store.

    Raises:
        IntegrityError: If holdout, candidate, ledger or anything of the champion is gone or not what was written, or
            the candidate was tuned from another model than the spec's.
        DataError: If the holdout lacks columns that the spec names.
        UsageError: If the pretrained model or the package with the suites is not installed.
        RegistryError: If MLflow does not answer; the evaluation is stored by then, and running again goes on.
    """
    spec, store = context.spec, context.store
    manifest = read_manifest(store, spec.name, candidate.snapshot_id)
    holdout = read_holdout(store, spec.name, candidate.snapshot_id)
    base = open_pretrained(spec.pretrained, context.environment.home)
    check_base(store, candidate, base)
    champion = find_champion(store, candidate, manifest, found_in_store, CONTENT_COLUMN)
    items = choose_held_out(holdout, spec, ITEMS_SEED)
    parts = parts_of(spec, items, read_canaries(store, candidate), ITEMS_SEED)
    scored = score_all(store, candidate, champion, base, parts)
    figures = measure_all(
        scored.challenger,
        scored.champion,
        scored.base,
        _slices(holdout, items, spec.gates),
        spec.gates.bootstrap_samples,
        seed_from(manifest.holdout.content_sha256),
    )
    predictions = write_predictions(store, spec.name, scores_table(scored))
    evaluation = evidence_of(candidate, manifest, champion, figures, len(items), predictions, base.sha256)
    page = answers_page(scored, items, spec.ability.shown_answers)
    store.write(answers_key(evaluation), page.encode())
    return keep_evidence(context, candidate, evaluation, partial(draw, evaluation, spec.gates, page))


def _slices(holdout: pa.Table, items: list[HeldOut], gates: Gates) -> dict[str, frozenset[str]]:
    """Return the names of the chosen items of each slice of the columns that the spec asks for."""
    rows = holdout.take([item.row for item in items])
    found = slices_of(rows, slice_columns(gates), gates.minimum_slice_rows)
    return {
        name: frozenset(items[int(place)].name for place in places) for name, places in found.items() if name != OVERALL
    }
