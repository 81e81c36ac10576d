"""Show the stored HTML reports of a model to those who may read its DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.data.pages.addresses import REPORT_KEY

if TYPE_CHECKING:
    from fastapi import APIRouter

# a report is a page without scripts; whatever data it shows must never run as one in Airflow's origin
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox allow-downloads",
    "X-Content-Type-Options": "nosniff",
}


def reports_router() -> APIRouter:
    """Return the routes of reports; their imports cost a second, which only the API server should pay."""
    from fastapi import APIRouter, Depends, HTTPException
    from fastapi.responses import HTMLResponse
    from tandem_airflow import DagAccessEntity, requires_access_dag

    from pipelines.errors import ObjectMissing
    from pipelines.spec import load_environment
    from pipelines.store import open_store

    router = APIRouter()
    may_read = Depends(requires_access_dag("GET", DagAccessEntity.RUN))

    @router.get("/reports/{dag_id}/{kind}/{name}", dependencies=[may_read])
    def report(dag_id: str, kind: str, name: str) -> HTMLResponse:
        key = f"{dag_id.removeprefix('train__')}/reports/{kind}/{name}"
        if not REPORT_KEY.fullmatch(key):
            raise HTTPException(404, f"'{key}' is not the key of a report.")
        try:
            page = open_store(load_environment().store).read(key)
        except ObjectMissing as error:
            raise HTTPException(404, str(error)) from error
        return HTMLResponse(page, headers=HEADERS)

    return router
