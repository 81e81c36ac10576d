"""The command that lets the champion answer new rows, without Airflow."""

from __future__ import annotations

import argparse
import getpass
from typing import Any

from rich.table import Table

from pipelines.cli.console import open_console
from pipelines.records import ScoreRequest, Window
from pipelines.spec import load_model


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `score` to the command line."""
    score = commands.add_parser("score", parents=[shared], help="let the champion answer new rows, without Airflow")
    score.add_argument("model", metavar="MODEL")
    score.add_argument("--start", metavar="DATE", help="first day; the end of the spec's training data where left out")
    score.add_argument("--end", metavar="DATE", help="first day after the rows; all there are where left out")
    score.add_argument("--as-of", metavar="TIME", help="the moment that the run is about, ISO 8601; now where left out")
    score.set_defaults(run=run_score, show=show_score)


def run_score(options: argparse.Namespace) -> Any:
    """Run every step of one scoring here and now."""
    from pipelines.steps.loop import run_scoring

    window = Window(start=options.start or load_model(options.model).schedule.data_end, end=options.end)
    request = ScoreRequest(window=window, as_of=options.as_of, by=getpass.getuser())
    return run_scoring(options.model, request)["collect"]


def show_score(answer: dict[str, Any]) -> None:
    """Print a line a partition and version, and what it was in all."""
    console = open_console()
    if answer["partitions"]:
        table = Table("partition", "rows", "version", "role", "", "answers", box=None, padding=(0, 2, 0, 0))
        for one in answer["partitions"]:
            state = "new" if one["name"] in answer["new"] else "scored before"
            table.add_row(
                one["name"], f"{one['num_rows']:,}", str(one["version"]), one["role"], state, one["content_sha256"][:16]
            )
        console.print(table)
    console.print(
        f"Version {answer['champion_version']} of {answer['model']} answered {answer['num_rows']:,} rows; "
        f"{len(answer['new'])} partition(s) are new."
    )
