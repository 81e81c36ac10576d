"""Commands that start and stop the services of this machine, and the demo."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from pipelines.cli.summary import print_summary
from pipelines.spec import load_environment

DEMO = ("flight_delay", "python_helper")
"""One model of each half, on data and weights that come with the installation."""


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `up`, `down` and `demo` to the command line."""
    up = commands.add_parser("up", parents=[shared], help="start Airflow and MLflow on this machine")
    up.set_defaults(run=run_up, show=show_links)
    down = commands.add_parser("down", parents=[shared], help="stop Airflow and MLflow on this machine")
    down.set_defaults(run=run_down, show=show_down)
    demo = commands.add_parser("demo", parents=[shared], help="train models through Airflow and tell what happened")
    demo.add_argument("models", metavar="MODEL", nargs="*", default=list(DEMO))
    demo.set_defaults(run=run_demo, show=show_demo)


def run_up(_: argparse.Namespace) -> dict[str, Any]:
    """Start what does not run, and return where it is and how to sign in."""
    from pipelines.local.services import up
    from pipelines.local.settings import USER, password

    environment = load_environment()
    addresses = up(environment)
    return {**addresses.__dict__, "user": USER, "password": password(environment)}


def show_links(answer: dict[str, Any]) -> None:
    """Print the addresses of the web UIs and the login."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]Airflow[/]  {answer['airflow_url']}   user {answer['user']}, password {answer['password']}")
    console.print(f"[bold]MLflow[/]   {answer['mlflow_url']}   no login; it listens on this machine only")
    console.print("`make down` stops them.")


def run_down(_: argparse.Namespace) -> dict[str, Any]:
    """Stop what runs."""
    from pipelines.local.services import down

    return {"stopped": down(load_environment())}


def show_down(answer: dict[str, Any]) -> None:
    """Say what was stopped."""
    print(f"Stopped: {', '.join(answer['stopped'])}." if answer["stopped"] else "Nothing was running.")


def run_demo(options: argparse.Namespace) -> dict[str, Any]:
    """Start the services, run each model's training DAG to its end, and return what each step left, by model."""
    from pipelines.local.demo import run_dag

    links = run_up(options)
    return {"links": links, "models": {model: run_dag(model, links) for model in options.models}}


def show_demo(answer: dict[str, Any]) -> None:
    """Print the summary of each model, and the links."""
    console = Console(highlight=False, soft_wrap=True)
    for model, left in answer["models"].items():
        console.print(f"\n[bold]{model}[/]\n")
        print_summary(left)
        console.print(f"[bold]DAG run[/]     {left['dag_run_url']}")
        console.print(f"[bold]MLflow run[/]  {left['mlflow_run_url']}")
    console.print()
    show_links(answer["links"])
    model = next(iter(answer["models"]))
    console.print(f"Next: `.venv/bin/tandem explain {model}`, `.venv/bin/tandem ledger {model} --verify`")
