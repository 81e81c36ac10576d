"""The process that fits, one trial at a time, so that its parent can stop a fit by ending the process.

    python -m pipelines.classic.search.fit_server FOLDER

It reads one JSON request a line from stdin and answers each with one JSON line on stdout; rows come from FOLDER,
predictions go to FOLDER. It ends when stdin does, also in the middle of a fit: a parent that was killed leaves nothing
behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import sys
import threading
import time
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from pipelines.classic.estimators.calibration import loss_calibrated
from pipelines.classic.search.clock import Clock
from pipelines.classic.search.configuration import Configuration, build_encoder
from pipelines.classic.search.fitting import fit_encoded, predict_rows, told
from pipelines.classic.search.rows import SearchRows, load_rows

MOST_KEPT_ENCODINGS = 3  # encoded folds held in memory, since configurations share them


class FitServer:
    """Fits trials on the rows in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: SearchRows = load_rows(folder)
        self._encoded: OrderedDict[tuple[str, int], Any] = OrderedDict()

    def fit(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fit one trial and write its predictions; return what came of it.

        A request has `configuration`, `fold`, `seed`, `task`, `metric`, `soft_seconds` and `iterations`; the last two
        may be None. The fit's own error is part of the answer, whatever its type: third parties raise all kinds.
        """
        started = time.perf_counter()
        configuration = Configuration.model_validate(request["configuration"])
        answer: dict[str, Any] = {"status": "done", "loss": None, "reason": ""}
        try:
            answer |= self._fit(configuration, request)
        except MemoryError as error:
            answer |= {"status": "failed", "reason": f"out of memory: {error}"}
        except Exception as error:  # noqa: BLE001 (the answer carries it, and the search reports it)
            answer |= {"status": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
        return answer | {"seconds": time.perf_counter() - started}

    def _fit(self, configuration: Configuration, request: dict[str, Any]) -> dict[str, Any]:
        clock = Clock.after(request["soft_seconds"])
        fold = int(request["fold"])
        shape, y = self.rows.shape, self.rows.y
        learnt, judged = self.rows.folds.learnt(fold), self.rows.folds.judged(fold)
        X, X_judged = self._encode(configuration, fold, int(request["seed"]))  # noqa: N806
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = fit_encoded(
                configuration,
                shape,
                int(request["seed"]),
                X,
                y[learnt],
                clock,
                request["iterations"],
                (X_judged, y[judged]),
            )
        predicted = predict_rows(fitted.estimator, X_judged, shape.num_classes)
        if not np.isfinite(predicted).all():
            return {"status": "failed", "reason": f"{int((~np.isfinite(predicted)).sum())} predictions are not finite"}
        path = self.folder / f"{configuration.name}-{fold}.predictions.npy"
        np.save(path, predicted, allow_pickle=False)
        return {
            "loss": loss_calibrated(request["task"], request["metric"], y[judged], predicted),
            "iterations": fitted.iterations,
            "kept_iterations": fitted.kept_iterations,
            "stopped": fitted.stopped,
            "warnings": list(told(caught)),
            "predictions_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "predictions": path.name,
        }

    def _encode(self, configuration: Configuration, fold: int, seed: int) -> Any:
        key = (configuration.style, fold)
        if key not in self._encoded:
            encoder = build_encoder(configuration, self.rows.shape, seed)
            learnt, judged = self.rows.folds.learnt(fold), self.rows.folds.judged(fold)
            X = encoder.fit_transform(self.rows.X[learnt], self.rows.y[learnt])  # noqa: N806
            self._encoded[key] = (X, encoder.transform(self.rows.X[judged]))
            if len(self._encoded) > MOST_KEPT_ENCODINGS:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]


def serve(folder: Path, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more; end the process at once when they end during a fit."""
    pending: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in requests:
            pending.put(line)
        os._exit(0)  # the parent is gone or done with us; a fit that still runs is for nobody

    server = FitServer(folder)
    threading.Thread(target=read, daemon=True).start()
    print(json.dumps({"status": "ready"}), file=answers, flush=True)
    while True:
        request = json.loads(pending.get())
        print(json.dumps({"id": request["id"], **server.fit(request)}), file=answers, flush=True)


def main() -> None:
    """Serve on this process's own stdin and stdout; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(Path(sys.argv[1]), sys.stdin, answers)


if __name__ == "__main__":
    main()
