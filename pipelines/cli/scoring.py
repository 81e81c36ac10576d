"""Commands that let the champion answer new rows and watch it here and now, and that replay the past in Airflow."""

from __future__ import annotations

import argparse
import getpass
from typing import Any

from rich.markup import escape
from rich.table import Table

from pipelines.cli.console import open_console
from pipelines.cli.services import run_up
from pipelines.records import Window, WindowRequest
from pipelines.spec import load_environment, load_model


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `score`, `monitor` and `replay` to the command line."""
    score = commands.add_parser("score", parents=[shared], help="let the champion answer new rows, without Airflow")
    score.add_argument("model", metavar="MODEL")
    score.add_argument("--start", metavar="DATE", help="first day; what the spec says where left out")
    score.add_argument("--end", metavar="DATE", help="first day after the rows; all there are where left out")
    score.add_argument("--as-of", metavar="TIME", help="the moment that the run is about, ISO 8601; now where left out")
    score.set_defaults(run=run_score, show=show_score)

    monitor = commands.add_parser("monitor", parents=[shared], help="watch what was scored, and decide on a retraining")
    monitor.add_argument("model", metavar="MODEL")
    monitor.add_argument("--start", metavar="DATE", help="first day of the windows; the newest where left out")
    monitor.add_argument("--end", metavar="DATE", help="first day after the windows")
    monitor.add_argument("--as-of", metavar="TIME", help="look at the world as it was known then, ISO 8601")
    monitor.set_defaults(run=run_monitor, show=show_monitor)

    replay = commands.add_parser("replay", parents=[shared], help="play past windows through Airflow")
    replay.add_argument("model", metavar="MODEL")
    replay.add_argument(
        "--from", dest="first", required=True, metavar="WINDOW", help="first partition, such as 2013-04"
    )
    replay.add_argument("--to", dest="last", required=True, metavar="WINDOW", help="last window, included")
    replay.set_defaults(run=run_replay, show=show_replay)


def run_score(options: argparse.Namespace) -> Any:
    """Run every step of one scoring here and now."""
    from pipelines.steps.loop import run_scoring

    spec = load_model(options.model)
    start = None if spec.scoring.window_days else spec.schedule.data_end
    window = Window(start=options.start or start, end=options.end)
    request = WindowRequest(window=window, as_of=options.as_of, by=getpass.getuser())
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


def run_monitor(options: argparse.Namespace) -> Any:
    """Make the reports of the windows here and now, and decide."""
    from pipelines.steps.loop import run_monitoring

    window = Window(start=options.start, end=options.end)
    request = WindowRequest(window=window, as_of=options.as_of, by=getpass.getuser())
    left = run_monitoring(options.model, request)
    folder = load_environment().store.uri
    decided = left["decide"]
    return {**decided, "report_keys": left["monitor"]["report_keys"], "page": f"{folder}/{decided['report_key']}"}


def show_monitor(answer: dict[str, Any]) -> None:
    """Say what was decided, why, and where to look."""
    console = open_console()
    said = "No retraining" if answer["run_id"] is None else f"Retraining {answer['run_id']}"
    console.print(f"[bold]{said}[/] of {answer['model']} as of {answer['as_of']}")
    for reason in answer["reasons"]:
        console.print(f"  {escape(reason)}")
    if answer["run_id"] is not None:
        console.print(f"The next run of monitor__{answer['model']} in Airflow starts it, or `tandem request` does.")
    console.print(f"Report: {answer['page']}", soft_wrap=True)


def run_replay(options: argparse.Namespace) -> Any:
    """Start the services, play the windows, and keep picture and page beside the rest of the state."""
    from pipelines.local.replay import keep, replay

    links = run_up(options)
    return keep(replay(options.model, options.first, options.last, links))


def show_replay(answer: dict[str, Any]) -> None:
    """Print a line a window, what it comes to, and where the picture is."""
    from pipelines.monitoring.replay import COLUMNS, ReplayMonth, ReplaySummary, in_sentences, table_rows

    console = open_console()
    table = Table(*COLUMNS, box=None, padding=(0, 2, 0, 0))
    months = [ReplayMonth.from_dict(month) for month in answer["windows"]]
    for row in table_rows(months, answer["metric"]):
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)
    for sentence in in_sentences(ReplaySummary.from_dict(answer["summary"])):
        console.print(sentence)
    console.print(f"Picture: {answer['picture']}", soft_wrap=True)
    console.print(f"Page:    {answer['page']}", soft_wrap=True)
