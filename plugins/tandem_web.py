"""Tandem's own pages and events on Airflow's web server, under `/tandem`: one application, one description of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/tandem"


def build_app() -> FastAPI:
    """Return the web application; its imports cost seconds, which only the API server should pay."""
    from tandem_application import application

    return application()


class TandemWeb(AirflowPlugin):
    """Mounts the application on Airflow's API server."""

    name = "tandem"
    external_views: ClassVar[list[dict[str, str]]] = [
        {"name": "Tandem's events", "href": f"{PREFIX}/docs", "destination": "nav", "category": "docs"}
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The application, built when the API server asks for it."""
        return [{"app": build_app(), "url_prefix": PREFIX, "name": "Tandem"}]
