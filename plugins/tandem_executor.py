"""Run tasks in forks of a scheduler that has imported already what the steps need.

Each task of Airflow's LocalExecutor is a fork of the scheduler. Its libraries take three to six seconds to import, and
most steps take less for their work; here they are imported once, and every task finds them there. Code that changes is
seen when the scheduler is started again, as it is with plugins.
"""

from __future__ import annotations

import importlib
import logging
from contextlib import suppress

from airflow.executors.local_executor import LocalExecutor

LOG = logging.getLogger(__name__)
LIBRARIES = ("boto3", "mlflow.pyfunc", "mlflow.sklearn", "pipelines.data.quality.library")  # imported late by the steps


class WarmExecutor(LocalExecutor):
    """LocalExecutor whose workers have imported the steps of every kind of model that a spec names."""

    def start(self) -> None:
        """Import, then fork the workers. What cannot be imported, its task will tell."""
        warm_up()
        super().start()


def warm_up() -> None:
    """Import the steps of the kinds that the specs name, and the libraries that these import late.

    None of them starts a thread at import that a fork would miss: OpenBLAS and jemalloc take care of theirs.
    """
    from pipelines.steps.run import import_steps

    try:
        import_steps(_kinds())
        for name in LIBRARIES:
            importlib.import_module(name)
    except ImportError:
        LOG.exception("Not all that tasks need could be imported ahead; each task imports it for itself")


def _kinds() -> set[str]:
    from pipelines.errors import SpecError
    from pipelines.spec import load_model, model_names

    kinds = set[str]()
    for name in model_names():
        with suppress(SpecError):  # its DAGs tell
            kinds.add(load_model(name).kind)
    return kinds
