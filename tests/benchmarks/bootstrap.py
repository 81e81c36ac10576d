"""How long it takes to measure challenger and champion with paired intervals, against scikit-learn in a loop."""

from __future__ import annotations

import json
import sys

from measure import median, report, run_child

ROUNDS = 3
NUM_ROWS = 15_000
NUM_RESAMPLES = 1_000
PEER_RESAMPLES = 10  # enough to know the peer's time for one; all of them would take minutes
ONE_CORE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
CHILD = f"""
import json, time
import numpy as np
from sklearn import metrics as sk
from pipelines.classic.evaluation.measuring import measure_all
from pipelines.gates.bootstrap import resampling_weights

generator = np.random.default_rng(0)
truth = (generator.random({NUM_ROWS}) < 0.24).astype(int)
def model(skill):
    score = 1 / (1 + np.exp(-(skill * truth + generator.normal(size={NUM_ROWS}) - 1.3)))
    return np.column_stack([1 - score, score])
challenger, champion = model(0.8), model(0.7)
origin = generator.integers(0, 3, {NUM_ROWS})
slices = {{"all": np.arange({NUM_ROWS}), **{{f"origin={{v}}": np.flatnonzero(origin == v) for v in range(3)}}}}

started = time.process_time()
figures = measure_all("binary", truth, challenger, champion, slices, {NUM_RESAMPLES}, 7)
ours = time.process_time() - started
assert len(figures.differences) == 4 * 8 and all(one.low is not None for one in figures.differences)

def peer(y, p, w):
    called = p[:, 1] > 0.5
    sk.roc_auc_score(y, p[:, 1], sample_weight=w)
    sk.average_precision_score(y, p[:, 1], sample_weight=w)
    sk.log_loss(y, p, sample_weight=w)
    sk.brier_score_loss(y, p[:, 1], sample_weight=w)
    for function in (sk.accuracy_score, sk.f1_score, sk.precision_score, sk.recall_score):
        function(y, called, sample_weight=w)

weights = next(resampling_weights({NUM_ROWS}, {PEER_RESAMPLES}, 7))
started = time.process_time()
for row in weights:
    for rows in slices.values():
        for predicted in (challenger, champion):
            peer(truth[rows], predicted[rows], row[rows])
theirs = (time.process_time() - started) / {PEER_RESAMPLES} * {NUM_RESAMPLES}
print(json.dumps([ours, theirs]))
"""


def main() -> int:
    """Print the median of several fresh processes on one core."""
    runs = [run_child([sys.executable, "-c", CHILD], ONE_CORE) for _ in range(ROUNDS)]
    pairs = [json.loads(run.stdout) for run in runs]
    seconds, peer_seconds = median([ours for ours, _ in pairs]), median([theirs for _, theirs in pairs])
    print(f"8 metrics, 2 models, all rows and 3 slices of {NUM_ROWS:,} rows, {NUM_RESAMPLES:,} resamples, one core:")
    print(
        f"{seconds:.1f} s of processor time; scikit-learn in a loop {peer_seconds:.0f} s, by {PEER_RESAMPLES} of them"
    )
    memory = max(run.peak_memory_bytes for run in runs)
    kept = report(
        "bootstrap", seconds, "processor s for 1000 resamples of 15k rows, 2 models", 5.0, "a few seconds", memory
    )
    ratio = report(
        "bootstrap_speedup", peer_seconds / seconds, "x", 10.0, "scikit-learn in a loop", higher_is_better=True
    )
    return 0 if kept and ratio else 1


if __name__ == "__main__":
    sys.exit(main())
