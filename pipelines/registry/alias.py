"""The alias `champion` in MLflow: the ledger's shadow, and the ledger's head left beside it as a witness.

The alias is what other tools read; it decides nothing. It is moved after the ledger and put right whenever the two
differ. The witness is a tag on the registered model, `<entry> <hash>`, written after the alias: a ledger that no longer
has that entry was cut or rewritten.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.errors import IntegrityError, RegistryError
from pipelines.records import LedgerEntry, Reconciled, Record
from pipelines.registry.connection import NOTHING_CHANGED, connect, translated, written
from pipelines.registry.ledger import champion_entry, entry_key, read_ledger
from pipelines.spec import Environment
from pipelines.store.base import Store

LOG = logging.getLogger(__name__)
ALIAS = "champion"
WITNESS_TAG = "tandem.ledger_head"
ROUNDS = 20


class Shadow(Record):
    """What MLflow says of a model: the version under the alias, and the ledger's head when the alias was last moved."""

    version: int | None
    witness_seq: int | None = None
    witness_sha256: str | None = None


def read_shadow(environment: Environment, model: str, outcome: str = NOTHING_CHANGED) -> Shadow:
    """Return what MLflow says serves. Raises `RegistryError`, which ends with `outcome`."""
    client = connect(environment, outcome)
    with translated(environment, outcome):
        try:
            registered = client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return Shadow(version=None)
    version = registered.aliases.get(ALIAS)
    seq, _, sha256 = str(registered.tags.get(WITNESS_TAG, "")).partition(" ")
    return Shadow(
        version=None if version is None else int(version),
        witness_seq=int(seq) if seq.isdigit() else None,
        witness_sha256=sha256 or None,
    )


def check_witness(entries: Sequence[LedgerEntry], model: str, shadow: Shadow) -> None:
    """Raise `IntegrityError` if the ledger no longer holds the entry that MLflow saw as its last."""
    if shadow.witness_seq is None:
        return
    key = entry_key(model, shadow.witness_seq)
    if not 1 <= shadow.witness_seq <= len(entries):
        raise IntegrityError(
            f"Ledger entry {key} is missing: MLflow saw it ({shadow.witness_sha256}), and the ledger ends at entry "
            f"{len(entries)}. It was cut; nothing is promoted onto it."
        )
    found = entries[shadow.witness_seq - 1].sha256
    if found != shadow.witness_sha256:
        raise IntegrityError(
            f"Ledger entry {key} was rewritten: MLflow saw hash {shadow.witness_sha256}, found {found}. "
            "Nothing is promoted onto it."
        )


def follow_ledger(store: Store, environment: Environment, model: str, outcome: str = NOTHING_CHANGED) -> Reconciled:
    """Move the alias to the version that serves by the ledger, and say what had to be done.

    It looks at the ledger again after each move: of two that move at once, the one who comes last with an older view
    sees the newer entry and moves on to it.

    Args:
        store: Where the ledger is.
        environment: Where MLflow is.
        model: Whose alias.
        outcome: What an error message says of the caller's work.

    Raises:
        IntegrityError: If the ledger is broken, or is not the one that MLflow has seen; the alias stays.
        RegistryError: If MLflow does not answer, or has not the version that serves.
    """
    first: Reconciled | None = None
    for _ in range(ROUNDS):
        shadow = read_shadow(environment, model, outcome)
        entries = read_ledger(store, model)
        check_witness(entries, model, shadow)
        report = _compare(model, champion_entry(entries), shadow)
        first = first or report
        if report.outcome == "right" and _witnessed(entries, shadow):
            break
        with translated(environment, outcome):
            _move(connect(environment, outcome), model, champion_entry(entries))
    else:
        raise RegistryError(f"The alias {ALIAS!r} of {model} did not settle in {ROUNDS} moves; {outcome}.")
    if first.outcome == "moved_back":
        LOG.warning("%s", first.message)
    return first


def _compare(model: str, champion: LedgerEntry | None, shadow: Shadow) -> Reconciled:
    version = champion.version if champion else None
    outcome: Literal["right", "healed", "moved_back"] = "right"
    message = f"The alias {ALIAS!r} of {model} follows the ledger: version {version}."
    if shadow.version != version:
        seen = champion is None or shadow.witness_seq == champion.seq
        outcome = "moved_back" if seen else "healed"
        cause = "somebody moved it past the gate" if seen else "a promotion was cut off before it was moved"
        message = (
            f"The alias {ALIAS!r} of {model} stood at version {shadow.version}, and by the ledger version {version} "
            f"serves: {cause}. It was moved to version {version}."
        )
    return Reconciled(model=model, outcome=outcome, version=version, found_version=shadow.version, message=message)


def _witnessed(entries: Sequence[LedgerEntry], shadow: Shadow) -> bool:
    return shadow.witness_seq == len(entries) if entries else True


def _move(client: MlflowClient, model: str, champion: LedgerEntry | None) -> None:
    if champion is None:
        client.delete_registered_model_alias(model, ALIAS)
        return
    try:
        written(lambda: client.set_registered_model_alias(model, ALIAS, str(champion.version)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise RegistryError(
            f"By ledger entry {champion.seq} version {champion.version} of {model} serves, and MLflow has no such "
            f"version. Restore MLflow's database, or roll back to a version that it has."
        ) from error
    written(lambda: client.set_registered_model_tag(model, WITNESS_TAG, f"{champion.seq} {champion.sha256}"))
