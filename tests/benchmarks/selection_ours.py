"""Fit one set with our search, or with a plain default, and answer its test rows:

    python selection_ours.py FOLDER NAME TASK SECONDS KIND ANSWERS.npy

KIND is search, boosting, forest or linear. The last line on stdout is JSON: the seconds and what was chosen.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from pipelines.classic.estimators.persistence import load_model, save_model
from pipelines.classic.estimators.prediction import predict
from pipelines.classic.search.board import TrialBoard
from pipelines.classic.search.planning import plan_search
from pipelines.classic.search.rows import read_rows, search_rows
from pipelines.classic.search.searching import run_search
from pipelines.classic.search.training import train_ensemble
from pipelines.spec.training import Training
from pipelines.store.memory import MemoryStore


def search(folder: Path, name: str, task: Any, seconds: float) -> tuple[np.ndarray, dict[str, Any]]:
    """Search, choose, refit, save and load again within the budget, as the steps do; then answer."""
    train, test = (pq.read_table(folder / f"{name}.{part}.parquet") for part in ("train", "test"))
    features = tuple(column for column in train.column_names if column != "target")
    training = Training(task=task, target="target", features=features, budget={"seconds": seconds}, refine=True)
    started = time.monotonic()
    rows = read_rows(train, training, None)
    detail = plan_search(rows, training, None, seconds, None)
    chosen = search_rows(rows, detail.num_search_rows, detail.seed)
    board = TrialBoard(MemoryStore(), f"{name}/searches/1")
    run_search(board, detail, chosen, lambda result: None, started=started)
    left = seconds - (time.monotonic() - started)
    origin = {"model": name, "snapshot_id": "benchmark"}
    model, schedule = train_ensemble(detail, board.results, rows, chosen, board.predictions, left, origin)
    with tempfile.TemporaryDirectory() as scratch:
        save_model(model, Path(scratch) / "model.skops")
        took = time.monotonic() - started
        size = (Path(scratch) / "model.skops").stat().st_size
        model = load_model(Path(scratch) / "model.skops")
    about = {"seconds": took, "model": schedule.algorithm, "trials": len(schedule.trials), "model_bytes": size}
    return predict(model, test, training), about


def plain_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose missing text is a level of its own: scikit-learn's encoders do not take pandas' NA."""
    text = [column for column in frame.columns if not pd.api.types.is_numeric_dtype(frame[column])]
    return frame.assign(**{column: frame[column].astype(object).where(frame[column].notna(), "") for column in text})


def default(folder: Path, name: str, task: str, kind: str) -> tuple[np.ndarray, dict[str, Any]]:
    """Fit scikit-learn's default of a kind behind the usual preprocessing; then answer."""
    train, test = (plain_text(pd.read_parquet(folder / f"{name}.{part}.parquet")) for part in ("train", "test"))
    classify = task != "regression"
    text = make_column_selector(dtype_exclude=np.number)
    numbers = make_column_selector(dtype_include=np.number)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=250)
    forest = make_pipeline(codes, SimpleImputer())
    dense = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    wide = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False)
    steps: dict[str, list[Any]] = {
        "boosting": [
            ColumnTransformer([("text", codes, text), ("numbers", "passthrough", numbers)]),
            HistGradientBoostingClassifier(random_state=0)
            if classify
            else HistGradientBoostingRegressor(random_state=0),
        ],
        "forest": [
            ColumnTransformer([("text", forest, text), ("numbers", SimpleImputer(), numbers)]),
            RandomForestClassifier(n_jobs=-1, random_state=0)
            if classify
            else RandomForestRegressor(n_jobs=-1, random_state=0),
        ],
        "linear": [
            ColumnTransformer([("text", wide, text), ("numbers", dense, numbers)]),
            LogisticRegression(max_iter=1_000) if classify else Ridge(),
        ],
    }
    started = time.monotonic()
    model = make_pipeline(*steps[kind])
    model.fit(train.drop(columns="target"), train["target"])
    took = time.monotonic() - started
    unseen = test.drop(columns="target")
    return (model.predict_proba(unseen) if classify else model.predict(unseen)), {"seconds": took, "model": kind}


if __name__ == "__main__":
    _, folder_, name_, task_, seconds_, kind_, answers_ = sys.argv
    run = search if kind_ == "search" else default
    last: Any = float(seconds_) if kind_ == "search" else kind_
    predicted_, about_ = run(Path(folder_), name_, task_, last)
    np.save(answers_, predicted_)
    print(json.dumps(about_))
