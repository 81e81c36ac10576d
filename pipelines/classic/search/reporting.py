"""Show trials in MLflow while they run, without making the search wait for MLflow."""

from __future__ import annotations

import logging
import queue
import threading

from pipelines.classic.search.scoring import metric_value
from pipelines.classic.search.trials import SearchDetail, TrialResult
from pipelines.errors import RegistryError
from pipelines.registry import runs
from pipelines.spec import Environment

LOG = logging.getLogger(__name__)

SECONDS_TO_CATCH_UP = 5.0  # at the end of a search; what is not shown by then stays in the schedule


class TrialReporter:
    """A thread that logs trials to the search's MLflow run; use it in a `with`, and call it with each trial.

    What MLflow shows is for people, and the search does not need it: when MLflow fails, the first failure is said in
    the log, and the search goes on.
    """

    def __init__(self, environment: Environment, run_id: str, detail: SearchDetail) -> None:
        self.environment = environment
        self.run_id = run_id
        self.detail = detail
        self.num_lost = 0
        self._waiting: queue.Queue[TrialResult | None] = queue.Queue()
        self._thread = threading.Thread(target=self._log_all, daemon=True)

    def __enter__(self) -> TrialReporter:
        """Start logging."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait a moment for what is not logged yet."""
        self._waiting.put(None)
        self._thread.join(SECONDS_TO_CATCH_UP)
        not_shown = self.num_lost + self._waiting.qsize()
        if not_shown:
            LOG.warning("%d trials are not shown in MLflow; they are in the search's schedule", not_shown)

    def __call__(self, result: TrialResult) -> None:
        """Have a trial logged soon; returns at once."""
        self._waiting.put(result)

    def _log_all(self) -> None:
        while (result := self._waiting.get()) is not None:
            try:
                self._log(result)
            except RegistryError as error:
                if not self.num_lost:
                    LOG.warning("%s The search goes on without showing its trials.", error)
                self.num_lost += 1

    def _log(self, result: TrialResult) -> None:
        metrics = {"seconds": result.seconds}
        if result.loss is not None:
            metrics[self.detail.metric] = metric_value(self.detail.metric, result.loss)
        if result.iterations is not None:
            metrics["iterations"] = float(result.iterations)
        params = {
            "configuration": result.configuration.name,
            "family": result.configuration.family,
            "fold": result.fold,
            "status": result.status,
            "worker": result.worker,
            **{f"param.{name}": value for name, value in result.configuration.params.items()},
        }
        runs.log_trial(self.environment, self.run_id, str(result.key), params, metrics, result.status == "done")
