"""Commands about what served, why, and how to go back."""

from __future__ import annotations

import argparse
import getpass
from typing import Any

from rich.markup import escape
from rich.table import Table

from pipelines.cli.console import open_console
from pipelines.errors import IntegrityError, UsageError
from pipelines.spec import model_names

MOST_ITEMS = 8
IDENTIFIERS = ("_sha256", "_key", "_id", "model")  # each is a link of its own; --json shows all


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `status`, `explain`, `ledger` and `rollback` to the command line."""
    status = commands.add_parser("status", parents=[shared], help="which version of each model serves, and since when")
    status.add_argument("models", nargs="*", metavar="MODEL", help="all models where left out")
    status.set_defaults(run=run_status, show=show_status)

    explain = commands.add_parser("explain", parents=[shared], help="the history of the champion, every hash verified")
    explain.add_argument("model", metavar="MODEL")
    explain.add_argument("--version", type=int, metavar="N", help="another version than the champion")
    explain.set_defaults(run=run_explain, show=show_explain)

    ledger = commands.add_parser("ledger", parents=[shared], help="every promotion and rollback of a model")
    ledger.add_argument("model", metavar="MODEL")
    ledger.add_argument("--verify", action="store_true", help="check both hash chains and everything they are bound to")
    ledger.set_defaults(run=run_ledger, show=show_ledger)

    rollback = commands.add_parser("rollback", parents=[shared], help="let a version serve again that served before")
    rollback.add_argument("model", metavar="MODEL")
    rollback.add_argument("--to", required=True, metavar="N|previous", help="a version number, or 'previous'")
    rollback.add_argument("--from", type=int, dest="serving", metavar="N", help="only if version N serves now")
    rollback.add_argument("--reason", required=True, help="kept in the ledger")
    rollback.set_defaults(run=run_rollback, show=show_rollback)


def run_status(options: argparse.Namespace) -> Any:
    """Return what serves now, by model."""
    from pipelines.steps.status import status

    return [status(_open(model)) for model in options.models or model_names()]


def show_status(answer: list[dict[str, Any]]) -> None:
    """Print a line a model, and every problem beneath."""
    table = Table("model", "champion", "since", "by", "holdout", "algorithm", box=None, padding=(0, 2, 0, 0))
    for status in answer:
        champion = status["champion"]
        if champion is None:
            table.add_row(status["model"], "none yet")
        else:
            first = champion["metrics"][0]
            measured = f"{first['metric']} {first['value']:.4f}"
            since = champion["since"][:19].replace("T", " ")
            version = f"version {champion['version']}"
            table.add_row(status["model"], version, since, champion["by"], measured, champion["algorithm"])
    console = open_console()
    console.print(table)
    for status in answer:
        if pending := status["pending_retraining"]:
            asked = f"{pending['num_requests']} request(s): {'; '.join(pending['why'])}"
            begins = f"{pending['run_after'][:16].replace('T', ' ')} UTC"
            console.print(f"[bold]{status['model']}[/]: retraining {pending['run_id']} may begin from {begins} on")
            console.print(f"  {escape(asked)}")
        for problem in status["problems"]:
            console.print(f"[bold]{status['model']}[/]: {escape(problem)}")


def run_explain(options: argparse.Namespace) -> Any:
    """Return the history of one version, with each link verified."""
    from pipelines.steps.explain import explain

    return explain(_open(options.model), options.version)


def show_explain(answer: dict[str, Any]) -> None:
    """Print the chain of evidence from the version back to the raw data."""
    console = open_console()
    role = "the champion" if answer["serves"] else "not the champion"
    console.print(f"[bold]{answer['model']} version {answer['version']}[/], {role}")
    for link in answer["links"]:
        mark = "[green]verified[/]" if link["verified"] else "[red]BROKEN[/]"
        console.print(f"\n[bold]{link['link']}[/]  {mark}  {(link['sha256'] or '')[:16]}  {link['key'] or ''}")
        if link["problem"]:
            console.print(f"  {escape(link['problem'])}")
        for name, value in link["says"].items():
            for line in _lines(name, value) if not name.endswith(IDENTIFIERS) else ():
                console.print(f"  {escape(line)}")
    count = len(answer["problems"])
    console.print(f"\n{'Every link is verified.' if answer['verified'] else f'{count} link(s) are broken.'}")


def run_ledger(options: argparse.Namespace) -> Any:
    """Return the entries; with --verify raise `IntegrityError` where one of them, or what it names, was altered."""
    from pipelines.registry.ledger import read_ledger
    from pipelines.steps.verify_ledger import verify_ledger

    context = _open(options.model)
    if not options.verify:
        entries = [{**entry.to_dict(), "sha256": entry.sha256} for entry in read_ledger(context.store, options.model)]
        return {"model": options.model, "entries": entries, "verified": None}
    answer = verify_ledger(context)
    if not answer["verified"]:
        raise IntegrityError("\n".join([f"The ledger of {options.model} is not sound:", *answer["problems"]]))
    return answer


def show_ledger(answer: dict[str, Any]) -> None:
    """Print a line an entry, oldest first."""
    table = Table("entry", "at (UTC)", "action", "version", "by", "reason", "hash", box=None, padding=(0, 2, 0, 0))
    for entry in answer["entries"]:
        at = entry["at"][:19].replace("T", " ")
        line = (str(entry["seq"]), at, entry["action"], str(entry["version"]), entry["by"], entry["reason"])
        table.add_row(*line, entry["sha256"][:16])
    console = open_console()
    console.print(table)
    if answer["verified"]:
        console.print("Chain, verdicts, evidence, candidates and model files are what they were when written.")
        console.print(f"So are {answer['num_decisions']} decision(s) about retraining, and the requests behind them.")


def run_rollback(options: argparse.Namespace) -> Any:
    """Let an earlier champion serve again."""
    from pipelines.steps.roll_back import roll_back

    if options.to != "previous" and not options.to.isdigit():
        raise UsageError(f"--to: found {options.to!r}; allowed: a version number, or 'previous'. Nothing was changed.")
    to: Any = options.to if options.to == "previous" else int(options.to)
    return roll_back(_open(options.model), to, options.reason, getpass.getuser(), options.serving).to_dict()


def show_rollback(answer: dict[str, Any]) -> None:
    """Say which version serves from now on."""
    print(
        f"Version {answer['version']} of {answer['model']} serves now (before: version {answer['previous_version']}); "
        f"ledger entry {answer['ledger_seq']}."
    )


def _open(model: str) -> Any:
    from pipelines.steps.context import Context

    return Context.open(model)


def _lines(name: str, value: Any) -> list[str]:
    if isinstance(value, list):
        shown = [f"    {item if not isinstance(item, dict) else _flat(item)}" for item in value[:MOST_ITEMS]]
        more = [f"    ... and {len(value) - MOST_ITEMS} more (--json shows all)"] if len(value) > MOST_ITEMS else []
        return [f"{name}:", *shown, *more] if value else []
    return [f"{name}: {_flat(value) if isinstance(value, dict) else value}"]


def _flat(value: dict[str, Any]) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
