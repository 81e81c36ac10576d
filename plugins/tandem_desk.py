"""The desk at which the requests of one model are decided: all that wait at the same time in one go.

A thousand requests at once are so a few entries in the chain of decisions, and no thread of the web server waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from pipelines.records.monitoring import Decided, RetrainingRequest

SECONDS_REMEMBERED = 30.0


class Desk:
    """Decides the requests of one model, and lets Airflow hold the run that they go into.

    Args:
        decide: Decides requests, in their order.
        hold_run: Lets Airflow hold the run of a decision; that it holds it already is no error.
    """

    def __init__(
        self,
        decide: Callable[[Sequence[RetrainingRequest]], Sequence[Decided]],
        hold_run: Callable[[Decided], None],
    ) -> None:
        self._decide = decide
        self._hold_run = hold_run
        self._waiting: list[tuple[RetrainingRequest, Future[Decided]]] = []
        self._is_busy = False
        self._lock = threading.Lock()
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix="tandem-desk")
        self._held: dict[str, float] = {}

    def submit(self, request: RetrainingRequest) -> Future[Decided]:
        """Return what will have been decided; the run is held by Airflow then."""
        future: Future[Decided] = Future()
        with self._lock:
            self._waiting.append((request, future))
            if not self._is_busy:
                self._is_busy = True
                self._clerk.submit(self._work)
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting, []
                self._is_busy = bool(batch)
            if not batch:
                return
            try:
                decided = self._settle([request for request, _ in batch])
            except BaseException as error:  # noqa: BLE001 -- each who waits gets it; nothing else would end their wait
                for _, future in batch:
                    future.set_exception(error)
            else:
                for (_, future), answer in zip(batch, decided, strict=True):
                    future.set_result(answer)

    def _settle(self, requests: list[RetrainingRequest]) -> Sequence[Decided]:
        answers = self._decide(requests)
        for decided in answers:
            self._hold(decided)
        return answers

    def _hold(self, decided: Decided) -> None:
        if decided.run_id is None or decided.outcome == "none":
            return
        now = time.monotonic()
        self._held = {run_id: at for run_id, at in self._held.items() if now - at < SECONDS_REMEMBERED}
        if decided.run_id not in self._held:
            self._hold_run(decided)
            self._held[decided.run_id] = now
