"""How long Airflow needs to read the DAG file of 100 model specs, beyond importing `airflow.sdk`."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from measure import ROOT, median, report, run_child

NUM_SPECS = 100
ROUNDS = 7
PARSE = """
import sys, time
import airflow.sdk
started = time.perf_counter()
import train_models
seconds = time.perf_counter() - started
heavy = {"torch", "mlflow", "sklearn", "great_expectations", "duckdb", "pandas"} & set(sys.modules)
assert not heavy, heavy
dags = [name for name in vars(train_models) if name.startswith("train__")]
print(len(dags), seconds)
"""


def main() -> int:
    """Print the median of several fresh processes."""
    template = (ROOT / "config" / "models" / "flight_delay.yaml").read_text()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config" / "models").mkdir(parents=True)
        for number in range(NUM_SPECS):
            text = template.replace("name: flight_delay", f"name: flight_delay_{number:03}")
            (folder / "config" / "models" / f"flight_delay_{number:03}.yaml").write_text(text)
        environment = {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "TANDEM_ROOT": str(folder),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "dags"), str(ROOT / "plugins")]),
        }
        runs = [run_child([sys.executable, "-c", PARSE], environment) for _ in range(ROUNDS)]
    counted = {int(run.stdout.split()[0]) for run in runs}
    assert counted == {NUM_SPECS}, counted
    seconds = median([float(run.stdout.split()[1]) for run in runs])
    print(f"{NUM_SPECS} specs: {seconds:.3f} s beyond `import airflow.sdk`, median of {ROUNDS} processes")
    memory = max(run.peak_memory_bytes for run in runs)
    ok = report("dag_parse", seconds, "s for 100 specs", 0.3, "import airflow.sdk", memory)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
