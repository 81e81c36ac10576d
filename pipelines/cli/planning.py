"""The command that tells how a fine-tuning would be run, and what it would take."""

from __future__ import annotations

import argparse
from typing import Any

from rich.markup import escape
from rich.table import Table

from pipelines.cli.console import open_console
from pipelines.errors import UsageError
from pipelines.spec import LlmSpec, load_environment, load_model

MOST_LINES = 24  # of the table; --json has all
MOST_TRAININGS = 10  # that are shown with their forecasts; --json has all
PARTS = ("weights", "gradients", "optimizer", "activations", "buffers", "baseline", "host")


def add_commands(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add `plan` to the command line."""
    plan = commands.add_parser("plan", parents=[shared], help="how a language model would be fine-tuned: memory, time")
    plan.add_argument("model", metavar="MODEL")
    plan.add_argument("--sequences", type=int, metavar="N", help="packed sequences to train on, where they are known")
    plan.set_defaults(run=run_plan, show=show_plan)


def run_plan(options: argparse.Namespace) -> dict[str, Any]:
    """Return the plan with every other way, and how earlier forecasts did; raises `UsageError` where none fits."""
    spec = load_model(options.model)
    if options.sequences is not None and options.sequences < 1:
        raise UsageError(f"--sequences: found {options.sequences}; allowed: 1 or more. Nothing was planned.")
    if not isinstance(spec, LlmSpec):
        raise UsageError(
            f"Model {spec.name} is of kind {spec.kind}, which is searched for within a budget; only a language model's "
            "fine-tuning is planned. Nothing was planned."
        )
    from pipelines.steps.context import Context
    from pipelines.steps.llm.forecasts import past_forecasts
    from pipelines.steps.llm.preview import preview
    from pipelines.store import open_store

    environment = load_environment()
    context = Context(spec, environment, open_store(environment.store))
    return {**preview(context, options.sequences), "forecasts": past_forecasts(context)}


def show_plan(answer: dict[str, Any]) -> None:
    """Print a line an option, fastest first: GB by part, seconds by part, and why it does not fit."""
    plan, console = answer["plan"], open_console()
    machine = answer["machine"]
    device = "GPU" if machine["on_gpu"] else "process"
    console.print(
        f"[bold]{answer['model']}[/]: {answer['architecture']}, {plan['num_parameters']:,} parameters, "
        f"{plan['num_trainable']:,} learn; {plan['world_size']} x {escape(machine['name'])}, "
        f"{machine['memory_bytes'] / 1e9:.1f} GB a {device}"
    )
    table = Table("", "ZeRO", "offload", "again", "batch", *PARTS, "GB", "s/step", "sends GB", "", box=None)
    lines = [
        _line(plan, ">", None),
        *(_line(option, "", option["refusal"]) for option in _sorted(plan["alternatives"])),
    ]
    for line in lines[:MOST_LINES]:
        table.add_row(*line)
    console.print(table)
    if len(lines) > MOST_LINES:
        console.print(f"... and {len(lines) - MOST_LINES} more (--json shows all)")
    if plan["launch"]["nodes"] > 1:
        console.print(f"on each of {plan['launch']['nodes']} nodes: torchrun {' '.join(answer['torchrun'])}")
    console.print(
        f"{plan['num_steps']:,} steps ({answer['length_from']}) of {plan['forecast_step_seconds']:.2f} s: "
        f"{plan['forecast_seconds'] / 3600:.2f} hours, cost {plan['cost']:.2f}. '>' is the plan; 'again' is activation "
        "checkpointing; batch is sequences at once x accumulation."
    )
    _show_forecasts(answer["forecasts"])


def _show_forecasts(forecasts: dict[str, Any]) -> None:
    """Print how the planner did before, newest first, where the ledger knows of trainings."""
    console, trainings = open_console(), forecasts["trainings"]
    for problem in forecasts["problems"]:
        console.print(f"a training's figures cannot be read: {escape(problem)}")
    if not trainings:
        return
    table = Table("version", "GB forecast", "measured", "error", "s/step forecast", "measured", "error", box=None)
    for one in trainings[:MOST_TRAININGS]:
        table.add_row(
            str(one["version"]),
            f"{one['forecast_bytes'] / 1e9:.2f}",
            f"{one['peak_bytes'] / 1e9:.2f}",
            _percent(one["memory_error"], "+"),
            f"{one['forecast_step_seconds']:.2f}",
            "" if one["step_seconds"] is None else f"{one['step_seconds']:.2f}",
            _percent(one["time_error"], "+"),
        )
    console.print("\nHow earlier forecasts did:")
    console.print(table)
    memory, time = (_percent(forecasts[f"median_{name}_error"]) or "unknown" for name in ("memory", "time"))
    console.print(f"median error of {len(trainings)} training(s): memory {memory}, time {time}")


def _percent(share: float | None, sign: str = "") -> str:
    return "" if share is None else f"{100 * share:{sign}.0f} %"


def _sorted(options: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(options, key=lambda option: (option["refusal"] is not None, sum(option["seconds"].values())))


def _line(option: dict[str, Any], mark: str, refusal: str | None) -> list[str]:
    memory = option["memory"]
    device = sum(value for name, value in memory.items() if name != "host")
    return [
        mark,
        str(option["zero_stage"]),
        "yes" if option["offload"] else "",
        "yes" if option["activation_checkpointing"] else "",
        f"{option['micro_batch']} x {option['accumulation_steps']}",
        *(f"{memory[name] / 1e9:.2f}" if memory[name] else "" for name in PARTS),
        f"{device / 1e9:.2f}",
        f"{sum(option['seconds'].values()):.2f}",
        f"{option['communication_bytes_per_step'] / 1e9:.2f}",
        escape(refusal or ("the plan" if mark else "fits")),
    ]
