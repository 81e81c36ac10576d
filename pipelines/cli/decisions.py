"""The command that tells what was decided about retraining, and why."""

from __future__ import annotations

import argparse
from typing import Any

from rich.markup import escape
from rich.table import Table

from pipelines.cli.console import open_console


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `decisions` to the command line."""
    words = "what monitoring and events came to: retrainings asked, begun, or not, and why"
    decisions = commands.add_parser("decisions", parents=[shared], help=words)
    decisions.add_argument("model", metavar="MODEL")
    decisions.add_argument("--replay", metavar="NAME", help="those of a replay, which are kept apart")
    decisions.set_defaults(run=run_decisions, show=show_decisions)


def run_decisions(options: argparse.Namespace) -> dict[str, Any]:
    """Return every decision, oldest first; raises `IntegrityError` where one of them was altered."""
    from pipelines.registry.decisions import read_decisions
    from pipelines.steps.context import Context

    store = Context.open(options.model).within(options.replay).store
    entries = [{**entry.to_dict(), "sha256": entry.sha256} for entry in read_decisions(store, options.model)]
    return {"model": options.model, "decisions": entries}


def show_decisions(answer: dict[str, Any]) -> None:
    """Print a line a decision, oldest first."""
    table = Table("entry", "at (UTC)", "as of", "action", "run", "reasons", box=None, padding=(0, 2, 0, 0))
    for entry in answer["decisions"]:
        moments = (entry[key][:19].replace("T", " ") for key in ("at", "as_of"))
        line = (str(entry["seq"]), *moments, entry["action"], entry["run_id"] or "", "; ".join(entry["reasons"]))
        table.add_row(*(escape(text) for text in line))
    open_console().print(table)
