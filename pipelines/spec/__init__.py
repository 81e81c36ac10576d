"""Everything that stands in config/, as frozen models."""

from pipelines.spec.environment import Environment
from pipelines.spec.load import load_environment, load_model, model_names, project_root
from pipelines.spec.model import ClassicSpec, LlmSpec, ModelSpec

__all__ = [
    "ClassicSpec",
    "Environment",
    "LlmSpec",
    "ModelSpec",
    "load_environment",
    "load_model",
    "model_names",
    "project_root",
]
