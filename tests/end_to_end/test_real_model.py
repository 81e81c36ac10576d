"""The real pretrained model, fine-tuned in minutes: `python -m pytest -m slow`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_a_real_language_model_learns_the_documentation_and_forgets_nothing(tmp_path: Path) -> None:
    tandem = str(Path(sys.executable).with_name("tandem"))
    environment = {**os.environ, "TANDEM_HOME": str(tmp_path)}
    done = subprocess.run(
        [tandem, "run", "python_helper", "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    left = json.loads(done.stdout)
    gained = {one["metric"]: one for one in left["evaluate"]["base_differences"] if one["slice"] == "all"}
    assert gained["answer_loss"]["high"] < -0.2
    assert gained["general_accuracy"]["low"] > -0.08
    assert left["promote"]["version"] == 1
