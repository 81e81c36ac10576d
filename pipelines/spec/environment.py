"""Where things run: store, MLflow, Airflow, and the folder that holds all state."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipelines.spec.base import Name, Section


class StoreSettings(Section):
    """Where objects are kept. Credentials for s3:// come from the usual AWS_* variables, never from a file."""

    uri: str = Field(pattern=r"^(file|s3|memory)://", description="file:///folder, s3://bucket/prefix; {home} is replaced.")
    s3_endpoint_url: str | None = Field(None, description="For S3 other than Amazon's.")


class MlflowSettings(Section):
    """Where MLflow keeps runs and versions."""

    tracking_uri: str = Field(description="sqlite:///file, postgresql://…, or http://server; {home} is replaced.")
    artifact_root: str = Field(description="file:///folder or s3://bucket/prefix; {home} is replaced.")
    host: str = "127.0.0.1"
    port: int = Field(5000, ge=1, le=65_535)


class AirflowSettings(Section):
    """Where Airflow's API server listens."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65_535)


class Environment(Section):
    """All that differs between a laptop and a cluster."""

    name: Name
    home: Path = Field(description="Folder for all state.")
    store: StoreSettings
    mlflow: MlflowSettings
    airflow: AirflowSettings = AirflowSettings()
