"""Give a judged language model a version in MLflow, by the address of its files. It does not serve by that."""

from __future__ import annotations

from pipelines.llm.packaging import store_package
from pipelines.records import Judged, Registered
from pipelines.registry import versions
from pipelines.registry.evidence import Evidence
from pipelines.spec import LlmSpec
from pipelines.steps.context import Context
from pipelines.steps.registering import card_of, papers_of, register_once, version_tags
from pipelines.store.trees import MANIFEST, read_tree


def register(context: Context[LlmSpec], judged: Judged) -> Registered:
    """Make the one version of a candidate whose verdict is promote; again for the same candidate, the same version.

    The weights stay in the store, and never go through MLflow's server.

    Raises:
        PromotionRefused: If the verdict is not promote, or does not fit the candidate, evidence or rules.
        IntegrityError: If verdict, evaluation, candidate or model are not the bytes that were written.
        RegistryError: If MLflow does not answer, or refuses the store's address; running again goes on.
    """
    return register_once(context, judged, lambda evidence: _make_version(context, evidence))


def _make_version(context: Context[LlmSpec], evidence: Evidence) -> versions.Version:
    candidate, store = evidence.candidate, context.store
    tree = read_tree(store, candidate.model_key, candidate.model_sha256)
    card, prefix = card_of(context, evidence), candidate.model_key.removesuffix(f"/{MANIFEST}")
    papers = papers_of(context.spec, evidence, card)
    store_package(store, prefix, candidate.mlflow_run_id, papers, tree.size_bytes)
    source = f"{store.root}/{prefix}"
    return versions.create_version_at(context.environment, candidate, source, version_tags(evidence), card)
