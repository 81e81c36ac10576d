"""Read the command line, run one command, and end with the exit code that its outcome has."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from pipelines import __version__
from pipelines.cli import data, decisions, events, history, planning, scoring, services
from pipelines.errors import SpecError, TandemError

EXIT_CODES = "exit codes: 0 done, 1 refused by a rule, 2 wrong use or spec, 3 a fault outside"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `tandem` and return its exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, which transformers loads, writes to stdout
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("pipelines").setLevel(logging.WARNING if options.quiet else logging.INFO)
    try:
        answer = options.run(options)
    except TandemError as error:
        return _tell_error(error, as_json=options.json)
    except BrokenPipeError:  # the reader went away, as in `tandem ledger m | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("tandem: stopped; running the same command again goes on from what is stored.", file=sys.stderr)
        return 130
    except Exception:  # noqa: BLE001 -- a defect of ours; Python would end with 1, which says that a rule refused
        traceback.print_exc()
        return 3
    _tell(answer, options.show, as_json=options.json)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="tandem", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"tandem {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    shared.add_argument("--quiet", action="store_true", help="no progress on stderr")
    for family in (data, planning, scoring, history, decisions, events, services):
        family.add_commands(commands, shared)
    return parser


def _tell(answer: Any, show: Callable[[Any], None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False, sort_keys=True))
    else:
        show(answer)


def _tell_error(error: TandemError, *, as_json: bool) -> int:
    print(f"tandem: {error}", file=sys.stderr)
    if as_json:
        problems = [problem.__dict__ for problem in error.problems] if isinstance(error, SpecError) else []
        document = {"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        print(json.dumps({**document, "problems": problems} if problems else document, indent=2, ensure_ascii=False))
    return error.exit_code
