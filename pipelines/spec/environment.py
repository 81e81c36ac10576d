"""Where things run: store, MLflow, Airflow, and the folder that holds all state."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipelines.spec.base import Name, Section


class StoreSettings(Section):
    """Where objects are kept. Credentials for s3:// come from the usual AWS_* variables, never from a file."""

    uri: str = Field(
        pattern=r"^(file|s3|memory)://",
        description="file:///folder, s3://bucket/prefix, memory://; {home} is replaced",
    )
    s3_endpoint_url: str | None = Field(
        None, pattern=r"^https?://", description="http(s)://host:port of an S3 other than Amazon's"
    )


class MlflowSettings(Section):
    """Where MLflow keeps runs and versions, and where its server listens."""

    tracking_uri: str = Field(
        pattern=r"^(sqlite|postgresql(\+\w+)?|mysql(\+\w+)?|https?)://",
        description="sqlite:///file, postgresql://…, mysql://…, or http(s)://server; {home} is replaced",
    )
    artifact_root: str = Field(
        pattern=r"^(file|s3|mlflow-artifacts):", description="file:///folder or s3://bucket/prefix; {home} is replaced"
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address that MLflow's server listens on.")
    port: int = Field(5000, ge=1, le=65_535, description="Port that MLflow's server listens on.")
    web_url: str | None = Field(None, pattern=r"^https?://", description="Where a browser finds MLflow, if elsewhere.")


class AirflowSettings(Section):
    """Where Airflow's API server listens."""

    host: str = Field("127.0.0.1", min_length=1, description="Address that Airflow's API server listens on.")
    port: int = Field(8080, ge=1, le=65_535, description="Port that Airflow's API server listens on.")
    web_url: str | None = Field(None, pattern=r"^https?://", description="Where a browser finds Airflow, if elsewhere.")


class Environment(Section):
    """All that differs between a laptop and a cluster."""

    name: Name = Field(description="The file's own name; TANDEM_ENVIRONMENT chooses it.")
    home: Path = Field(description="Folder for all state, from TANDEM_HOME.")
    store: StoreSettings = Field(description="Where objects are kept.")
    mlflow: MlflowSettings = Field(description="Where MLflow keeps runs and versions.")
    airflow: AirflowSettings = Field(AirflowSettings(), description="Where Airflow's API server listens.")
