"""Commands about what served, why, and how to go back."""

from __future__ import annotations

import argparse
import getpass
from typing import Any

from pipelines.errors import UsageError


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `status`, `explain`, `ledger` and `rollback` to the command line."""
    status = commands.add_parser("status", parents=[shared], help="which version of each model serves, and since when")
    status.add_argument("models", nargs="*", metavar="MODEL", help="all models where left out")
    status.set_defaults(run=run_status, show=show_status)

    explain = commands.add_parser("explain", parents=[shared], help="the whole history of the champion, every hash verified")
    explain.add_argument("model", metavar="MODEL")
    explain.add_argument("--version", type=int, metavar="N", help="another version than the champion")
    explain.set_defaults(run=run_explain, show=show_explain)

    ledger = commands.add_parser("ledger", parents=[shared], help="every promotion and rollback of a model")
    ledger.add_argument("model", metavar="MODEL")
    ledger.add_argument("--verify", action="store_true", help="check the hash chain and everything it is bound to")
    ledger.set_defaults(run=run_ledger, show=show_ledger)

    rollback = commands.add_parser("rollback", parents=[shared], help="let a version serve again that served before")
    rollback.add_argument("model", metavar="MODEL")
    rollback.add_argument("--to", required=True, metavar="N|previous", help="a version number, or 'previous'")
    rollback.add_argument("--reason", required=True, help="kept in the ledger")
    rollback.set_defaults(run=run_rollback, show=show_rollback)


def run_status(options: argparse.Namespace) -> Any:
    """Return what serves now, by model."""
    from pipelines.spec import model_names
    from pipelines.steps.context import Context
    from pipelines.steps.explain import status

    return {model: status(Context.open(model)) for model in options.models or model_names()}


def run_explain(options: argparse.Namespace) -> Any:
    """Return the history of one version, with each link verified."""
    from pipelines.steps.context import Context
    from pipelines.steps.explain import explain

    return explain(Context.open(options.model), options.version)


def run_rollback(options: argparse.Namespace) -> Any:
    """Let an earlier champion serve again."""
    from pipelines.steps.context import Context
    from pipelines.steps.roll_back import roll_back

    to: int | str = options.to
    if to != "previous":
        if not options.to.isdigit():
            raise UsageError(f"--to: found {options.to!r}; allowed: a version number, or 'previous'. Nothing was changed.")
        to = int(options.to)
    return roll_back(Context.open(options.model), to, options.reason, getpass.getuser()).to_dict()


def run_ledger(options: argparse.Namespace) -> Any: ...
def show_status(answer: Any) -> None: ...
def show_explain(answer: Any) -> None: ...
def show_ledger(answer: Any) -> None: ...
def show_rollback(answer: Any) -> None: ...
