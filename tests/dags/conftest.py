"""Airflow's paths for the tests of DAG files and plugins: set before the first import of Airflow."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="tandem-airflow-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(ROOT / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(ROOT / "plugins")
for folder in ("dags", "plugins"):  # Airflow puts both there for the code in them
    if str(ROOT / folder) not in sys.path:
        sys.path.append(str(ROOT / folder))
