"""Let a peer score windows, run by that peer's interpreter:

    python false_alarms_peer.py nannyml|evidently REFERENCE.parquet ROWS_A_DAY WINDOW.parquet ...

The last line on stdout is JSON: for each window each column's score, and for NannyML the bound.
"""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from typing import Any

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
os.environ["DO_NOT_TRACK"] = "1"

import pandas as pd


def nannyml(reference: pd.DataFrame, rows_a_day: int, windows: list[pd.DataFrame]) -> list[dict[str, Any]]:
    """Ask the univariate calculator with its defaults and a day a chunk."""
    from nannyml import UnivariateDriftCalculator

    calculator = UnivariateDriftCalculator(column_names=list(reference.columns), chunk_size=rows_a_day)
    calculator.fit(reference)
    found = []
    for window in windows:
        table = calculator.calculate(window).filter(period="analysis").to_df()
        assert len(table) == 1
        told = {name: table[(name, "jensen_shannon")].iloc[0] for name in reference.columns}
        found.append({name: [float(row["value"]), float(row["upper_threshold"])] for name, row in told.items()})
    return found


def evidently(reference: pd.DataFrame, rows_a_day: int, windows: list[pd.DataFrame]) -> list[dict[str, Any]]:
    """Ask the preset with its defaults."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    found = []
    for window in windows:
        told = Report([DataDriftPreset()]).run(window, reference).dict()["metrics"]
        named = {re.match(r"ValueDrift\(column=(\w+),", one["metric_name"]): one["value"] for one in told}
        found.append({name[1]: float(value) for name, value in named.items() if name})
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of the peers and their libraries about each other; none is ours
    _, peer, reference_, rows_a_day_, *windows_ = sys.argv
    ask = {"nannyml": nannyml, "evidently": evidently}[peer]
    print(json.dumps(ask(pd.read_parquet(reference_), int(rows_a_day_), [pd.read_parquet(one) for one in windows_])))
