"""Read the YAML files in config/ into frozen models."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from pipelines.spec.environment import Environment
from pipelines.spec.model import ModelSpec


def project_root() -> Path:
    """Return the folder that holds config/: TANDEM_ROOT, or the checkout that this package was installed from."""
    return Path(os.environ.get("TANDEM_ROOT") or Path(__file__).resolve().parents[2])


def model_names() -> list[str]:
    """Return the names of all model specs, sorted."""
    return sorted(path.stem for path in (project_root() / "config" / "models").glob("*.yaml"))


def load_model(name: str) -> ModelSpec:
    """Return the spec in config/models/<name>.yaml. Raises `SpecError`."""
    path = project_root() / "config" / "models" / f"{name}.yaml"
    return ModelSpec.model_validate(yaml.load(path.read_text(), Loader=yaml.CSafeLoader))


def load_environment() -> Environment:
    """Return the environment in config/environments/<TANDEM_ENVIRONMENT or local>.yaml. Raises `SpecError`."""
    name = os.environ.get("TANDEM_ENVIRONMENT", "local")
    home = Path(os.environ.get("TANDEM_HOME") or project_root() / "var").resolve()
    text = (project_root() / "config" / "environments" / f"{name}.yaml").read_text().replace("{home}", str(home))
    return Environment.model_validate({**yaml.safe_load(text), "home": home})
