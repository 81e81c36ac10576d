"""Make the candidate of a plan once, however often and by however many it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable

from pipelines.records import Candidate
from pipelines.steps.context import Context
from pipelines.store.verified import put_first_record, write_record

LOG = logging.getLogger(__name__)


def made_once(context: Context, prefix: str, make: Callable[[], Candidate]) -> Candidate:
    """Return the one candidate that a plan has under the spec as it is, and store its record.

    A spec may change in what no training depends on, such as its gates: the same plan then has another candidate of the
    same model, and nothing is trained again.

    Args:
        context: The model's surroundings.
        prefix: The plan's own folder in the store.
        make: Trains; called only where the plan has no candidate at all.
    """
    store, spec_sha256 = context.store, context.spec.sha256
    key = f"{prefix}/candidates/{spec_sha256}.json"
    if store.stat(key) is None:
        earlier = next(iter(store.list(f"{prefix}/candidates/")), None)
        if earlier is None:
            candidate = make()
        else:
            LOG.info("the spec has changed in nothing that this training depends on: its model is judged anew")
            candidate = Candidate.model_validate_json(store.read(earlier.key))
        mine = candidate.model_copy(update={"spec_sha256": spec_sha256})
        candidate = put_first_record(store, key, mine)
        if candidate != mine:
            LOG.info("another worker trained the same plan first; its candidate counts")
    else:
        candidate = Candidate.model_validate_json(store.read(key))  # its key is the hash of the spec
    write_record(store, f"{candidate.model}/candidates", candidate)
    return candidate
