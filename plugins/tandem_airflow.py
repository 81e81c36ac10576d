"""What Tandem uses of Airflow's inside, which is no stable API: all such imports stand here.

Only the API server imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, resolve_user_from_token
from airflow.exceptions import DagRunAlreadyExists
from airflow.models import DagModel, DagRun
from airflow.models.dagbag import DBDagBag
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType
from fastapi import HTTPException, Request
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

__all__ = [
    "BaseUser",
    "DagAccessEntity",
    "GetUserDep",
    "KnownDag",
    "SQLAlchemyError",
    "find_dag",
    "hold_run",
    "may_access_runs",
    "requires_access_dag",
    "resolve_user_from_token",
    "run_state",
]


@dataclass(frozen=True)
class KnownDag:
    """What Airflow knows of a DAG that it can run."""

    dag_id: str
    is_paused: bool


def find_dag(dag_id: str) -> KnownDag | None:
    """Return the DAG, or None where Airflow has none of this id that it could run."""
    with create_session() as session:
        found = DagModel.get_current(dag_id, session=session)
        return None if found is None or found.is_stale else KnownDag(dag_id, bool(found.is_paused))


def may_access_runs(request: Request, user: BaseUser, method: str, dag_id: str) -> bool:
    """Tell whether a user may `GET` or `POST` the runs of a DAG, as Airflow's auth manager sees it."""
    try:
        requires_access_dag(method, DagAccessEntity.RUN, dag_id)(request, user)
    except HTTPException:
        return False
    return True


def hold_run(dag_id: str, run_id: str, run_after: datetime | None, note: str, by: str) -> bool:
    """Let Airflow hold a run that begins at `run_after`, or at once; return False where it holds one of this id.

    One that has failed is queued again: it is only asked for while it has not begun, so it failed before its first step
    was done, and all that was asked since waits for it.

    Raises `DagNotFound` where there is no such DAG, and SQLAlchemy's errors where the database does not answer.
    """
    try:
        trigger_dag(
            dag_id,
            triggered_by=DagRunTriggeredByType.REST_API,
            triggering_user_name=by,
            run_after=run_after,
            run_id=run_id,
            conf={},
            note=note,
        )
    except DagRunAlreadyExists as error:
        if error.dag_run.state == DagRunState.FAILED:
            _queue_again(dag_id, run_id)
        return False
    except IntegrityError:
        if run_state(dag_id, run_id) is None:
            raise
        return False  # another process was first
    return True


def _queue_again(dag_id: str, run_id: str) -> None:
    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
        if dag is not None:
            dag.clear(run_id=run_id, session=session)


def run_state(dag_id: str, run_id: str) -> str | None:
    """Return the state of a run, or None where Airflow holds none of this id."""
    found = DagRun.find_duplicate(dag_id=dag_id, run_id=run_id)
    return None if found is None else str(found.state)
