"""Let a peer compare two Parquet files, run by that peer's interpreter:

    python drift_peer.py nannyml|evidently REFERENCE.parquet NEW.parquet

The last line on stdout is JSON: the seconds of each part, without imports and without reading the files.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

import pandas as pd


def nannyml(reference: pd.DataFrame, new: pd.DataFrame) -> dict[str, float]:
    """Fit NannyML's univariate calculator with its defaults on the reference, then ask it about the new rows."""
    from nannyml import UnivariateDriftCalculator

    calculator = UnivariateDriftCalculator(column_names=list(reference.columns))
    started = time.perf_counter()
    calculator.fit(reference)
    fitted = time.perf_counter()
    calculator.calculate(new)
    return {"fit": fitted - started, "calculate": time.perf_counter() - fitted}


def evidently(reference: pd.DataFrame, new: pd.DataFrame) -> dict[str, float]:
    """Run Evidently's preset with its defaults."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    started = time.perf_counter()
    Report([DataDriftPreset()]).run(new, reference).dict()
    return {"run": time.perf_counter() - started}


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the peers and their libraries about each other; none is ours
    _, peer, *paths = sys.argv
    frames = [pd.read_parquet(path) for path in paths]
    print(json.dumps({"nannyml": nannyml, "evidently": evidently}[peer](*frames)))
