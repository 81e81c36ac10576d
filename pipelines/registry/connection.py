"""The way to MLflow: one client per tracking URI, and its failures as errors of our own."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import requests
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import RegistryError
from pipelines.spec import Environment

T = TypeVar("T")
COLLISIONS = 5

NOTHING_CHANGED = "nothing was promoted"

# MLflow raises one class for a server that is gone and for a request that it understood and refused.
SIGNS_OF_NO_ANSWER = (
    "failed with exception",
    "failed with timeout",
    "failed with error code 50",
    "unable to open database",
)


def connect(environment: Environment, outcome: str = NOTHING_CHANGED) -> MlflowClient:
    """Return a client of the environment's MLflow that has answered once.

    Args:
        environment: Where MLflow is.
        outcome: What an error message says of the caller's work.

    Raises:
        RegistryError: If MLflow does not answer; known within seconds.
    """
    _tell_where_artifacts_are(environment)
    with translated(environment, outcome):
        return _client(environment.mlflow.tracking_uri)


@contextmanager
def translated(environment: Environment, outcome: str = NOTHING_CHANGED) -> Iterator[None]:
    """Turn what MLflow and the libraries beneath it raise into `RegistryError`, which ends with `outcome`."""
    uri = _without_password(environment.mlflow.tracking_uri)
    try:
        yield
    except (BotoCoreError, Boto3Error, ClientError) as error:
        root = environment.mlflow.artifact_root
        raise RegistryError(f"MLflow's artifacts at {root} cannot be used: {_first_line(error)}; {outcome}.") from error
    except (requests.exceptions.RequestException, SQLAlchemyError, ConnectionError) as error:
        raise RegistryError(_no_answer(uri, error, outcome)) from error
    except MlflowException as error:
        if any(sign in str(error) for sign in SIGNS_OF_NO_ANSWER):
            raise RegistryError(_no_answer(uri, error, outcome)) from error
        raise RegistryError(f"MLflow at {uri} refused: {_first_line(error)}; {outcome}.") from error
    except OSError as error:
        raise RegistryError(f"The files behind MLflow at {uri} cannot be used: {error}; {outcome}.") from error


def written(write: Callable[[], T]) -> T:
    """Return what `write` returns; do it again where another writer put the same row first.

    MLflow sets tags and aliases by looking and then inserting, and fails where two do so at once.
    """
    for _ in range(COLLISIONS):
        try:
            return write()
        except MlflowException as error:
            if not is_collision(error):
                raise
    return write()


def is_collision(error: MlflowException) -> bool:
    """Tell whether MLflow failed because its database has the row already."""
    return "constraint" in str(error).lower()


@lru_cache(maxsize=16)
def _client(tracking_uri: str) -> MlflowClient:
    with _alone(tracking_uri):
        client = MlflowClient(tracking_uri, registry_uri=tracking_uri)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
    return client


def _tell_where_artifacts_are(environment: Environment) -> None:
    """Let MLflow use the store's own S3, which it learns from variables only; what is set already stays."""
    if environment.mlflow.artifact_root.startswith("s3://") and environment.store.s3_endpoint_url is not None:
        os.environ.setdefault("MLFLOW_S3_ENDPOINT_URL", environment.store.s3_endpoint_url)
        os.environ.setdefault("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "path")  # others than Amazon have no host a bucket


def _without_password(uri: str) -> str:
    return make_url(uri).render_as_string(hide_password=True) if "@" in uri else uri


def _alone(tracking_uri: str) -> AbstractContextManager[None]:
    """Hold a lock beside an SQLite database: with MLflow's own, two processes that build its tables at once fail."""
    if not tracking_uri.startswith("sqlite:///"):
        return nullcontext()
    return _locked(Path(tracking_uri.removeprefix("sqlite:///")))


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _no_answer(uri: str, error: BaseException, outcome: str) -> str:
    remedy = "start it with `make up`" if uri.startswith("http") else "see that its database can be reached"
    return f"MLflow does not answer at {uri} ({_first_line(_root(error))}); {outcome}; {remedy}, then run this again."


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(".")
