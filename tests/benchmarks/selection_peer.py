"""Let FLAML, with its ensemble, fit one set and answer its test rows, run by the peers' interpreter:

    python selection_peer.py FOLDER NAME TASK SECONDS CORES ANSWERS.npy

The last line on stdout is JSON: the seconds that fitting took, and the model it chose.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from flaml import AutoML


def fit(folder: Path, name: str, task: str, seconds: float, cores: int, answers: Path) -> None:
    """Fit, answer in the order of sorted classes, and say how long it took."""
    train, test = (pd.read_parquet(folder / f"{name}.{part}.parquet") for part in ("train", "test"))
    rows, unseen = train.drop(columns="target"), test.drop(columns="target")
    for column in rows.columns:
        if not pd.api.types.is_numeric_dtype(rows[column]):
            rows[column] = rows[column].astype("category")
            unseen[column] = pd.Categorical(unseen[column], categories=rows[column].cat.categories)
    target = train["target"] if task == "regression" else train["target"].astype(str).astype(object)
    started = time.monotonic()
    model = AutoML()
    model.fit(
        rows,
        target,
        task="regression" if task == "regression" else "classification",
        metric="rmse" if task == "regression" else "log_loss",
        time_budget=seconds,
        ensemble=True,
        n_jobs=cores,
        seed=0,
        verbose=0,
    )
    took = time.monotonic() - started
    if task == "regression":
        predicted = np.asarray(model.predict(unseen), dtype=float)
    else:
        order = np.argsort([str(label) for label in model.classes_])
        predicted = np.asarray(model.predict_proba(unseen), dtype=float)[:, order]
    np.save(answers, predicted)
    print(json.dumps({"seconds": took, "model": f"{type(model.model).__name__} ({model.best_estimator})"}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of pandas and LightGBM about each other; none is ours
    _, folder_, name_, task_, seconds_, cores_, answers_ = sys.argv
    fit(Path(folder_), name_, task_, float(seconds_), int(cores_), Path(answers_))
