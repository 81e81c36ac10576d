"""The application that `tandem_web` mounts: routes, and a sentence for everything that may go wrong."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.requests import ClientDisconnect
from tandem_airflow import SQLAlchemyError
from tandem_events import events_router
from tandem_events_docs import SECURITY_SCHEMES
from tandem_manual import manual_page
from tandem_reports import reports_router

from pipelines.errors import Fault, ObjectMissing, SpecError, UsageError

LOG = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5
TITLE = "Tandem"
DESCRIPTION = (
    "Events from outside become training runs: exactly one for a reason. Equal events are one request; requests that "
    "come while a run waits go into that run; cooldown and weekly budget of the model's spec say when it begins."
)


def application() -> FastAPI:
    """Return the application with all its routes."""
    app = FastAPI(title=TITLE, description=DESCRIPTION, version="1", docs_url=None, redoc_url=None)
    app.include_router(events_router())
    app.include_router(reports_router(), include_in_schema=False)
    for kind, status in ((UsageError, 422), (ObjectMissing, 404), (ClientDisconnect, 400)):
        app.add_exception_handler(kind, _says(status))
    for kind in (SpecError, Fault, SQLAlchemyError):
        app.add_exception_handler(kind, _unavailable)

    @app.get("/events", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    def manual() -> HTMLResponse:
        return manual_page(app.openapi())

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=TITLE, version="1", description=DESCRIPTION, routes=app.routes)
            schema["components"]["securitySchemes"] = schema["components"].get("securitySchemes", {}) | SECURITY_SCHEMES
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
    return app


def _says(status: int) -> Any:
    def answer(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error) or type(error).__name__}, status_code=status)

    return answer


def _unavailable(_: Request, error: Exception) -> JSONResponse:
    LOG.error("An event was not taken, and its sender was asked to send it again.", exc_info=error)
    # a database's error may name hosts and statements: of those the log is told
    said = str(error) if isinstance(error, Fault | SpecError) else "Airflow's database does not answer as it should."
    return JSONResponse(
        {"detail": f"{said} Send it again in a while: it will not be done twice."},
        status_code=503,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
