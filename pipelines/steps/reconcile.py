"""Put the alias in MLflow right by the ledger: after a crash between the two, or after somebody moved it by hand."""

from __future__ import annotations

from pipelines.records import Reconciled
from pipelines.registry.alias import follow_ledger
from pipelines.steps.context import Context


def reconcile(context: Context) -> Reconciled:
    """Move the alias to the version that serves by the ledger, and say what was found. Every run starts with it.

    Raises:
        IntegrityError: If the ledger is broken, or is not the one that MLflow has seen; the alias stays.
        RegistryError: If MLflow does not answer, or has not the version that serves.
    """
    return follow_ledger(context.store, context.environment, context.spec.name)
