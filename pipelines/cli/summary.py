"""Tell a newcomer what one training run did, from the records that its steps left."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

WORST_CHECKS_SHOWN = 5
WIDTH_OF_A_FILE = 140
MARKS = {"promote": "holds ", "hold": "thin  ", "reject": "fails "}


def print_summary(left: dict[str, Any]) -> None:
    """Print the summary of a finished training run.

    Args:
        left: The record that each step left, by step, as `run_training` returns it; `verdict` is the judgement itself.
    """
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _lines(left):
        table.add_row(label, text)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    console.print(table)
    lines = [line for line in left["answers"].splitlines() if line.strip()]
    if lines:
        console.print("\n" + "\n".join(lines), markup=False, soft_wrap=True)


def _lines(left: dict[str, Any]) -> list[tuple[str, str]]:
    ingested, validated = left["ingest"], left["validate"]
    evaluation, verdict, promoted = left["evaluate"], left["verdict"], left["promote"]
    partitions = ", ".join(partition["name"] for partition in ingested["partitions"])
    lines = [
        ("Rows in", f"{ingested['num_rows']:,} in {len(ingested['partitions'])} partitions ({partitions})"),
        ("Quarantined", _quarantine(validated)),
        ("Checks", _checks(validated["checks"])),
        *(_searched(left) if "search" in left else _tuned(left)),
        ("Model", left["train"]["algorithm"]),
    ]
    overall = [metric for metric in evaluation["metrics"] if metric["slice"] == "all"]
    lines += [(f"Holdout {metric['metric']}", _interval(metric)) for metric in overall[:3]]
    if evaluation["base_differences"]:
        lines += [("Against base", _differences(evaluation["base_differences"]))]
    if evaluation["champion_version"]:
        lines += [("Against champion", _differences(evaluation["differences"]))]
    lines += [("Verdict", verdict["outcome"])]
    lines += [("", f"{MARKS[result['outcome']]}  {result['reason']}") for result in verdict["results"]]
    before = promoted["previous_version"]
    lines += [("Champion", f"version {promoted['version']}" + (f" (before: version {before})" if before else ""))]
    return lines


def _searched(left: dict[str, Any]) -> list[tuple[str, str]]:
    candidate = left["train"]
    return [
        ("Trained on", f"{left['snapshot']['num_rows_train']:,} rows of snapshot {candidate['snapshot_id'][:12]}"),
        ("Search", f"{candidate['num_trials']} trials in {candidate['seconds']:.0f} s"),
    ]


def _tuned(left: dict[str, Any]) -> list[tuple[str, str]]:
    candidate, packed, plan = left["train"], left["pack"], left["plan"]
    kept = f"{packed['num_documents']:,} conversations of snapshot {candidate['snapshot_id'][:12]}"
    tokens = (
        f"{packed['num_tokens']:,} tokens in {packed['num_sequences']:,} sequences, {packed['useful_share']:.1%} used"
    )
    taken = f"{packed['num_decontaminated']:,} taken out since they share words with what the model is judged on"
    forecast = f"{plan['forecast_bytes'] / 1e9:.1f} GB and {plan['forecast_step_seconds']:.1f} s a step"
    return [
        ("Trained on", f"{kept}: {tokens}; {taken}"),
        ("Plan", f"{plan['num_steps']} steps, ZeRO-{plan['zero_stage']}, {plan['world_size']} process(es); {forecast}"),
        (
            "Training",
            f"{candidate['seconds']:.0f} s, {candidate['validation_metric']} {candidate['validation_score']:.4f}",
        ),
    ]


def _quarantine(validated: dict[str, Any]) -> str:
    bad, rows = validated["num_rows_bad"], validated["num_rows_in"]
    worst = sorted((check for check in validated["checks"] if check["bad_rows"]), key=lambda check: -check["bad_rows"])
    reasons = "; ".join(f"{check['bad_rows']:,} x {check['check']}" for check in worst[:WORST_CHECKS_SHOWN])
    return f"{bad:,} rows ({bad / rows:.2%})" + (f": {reasons}" if reasons else "")


def _checks(checks: list[dict[str, Any]]) -> str:
    counts = {status: sum(check["status"] == status for check in checks) for status in ("passed", "failed", "broken")}
    return ", ".join(f"{count} {status}" for status, count in counts.items() if count)


def _interval(metric: dict[str, Any]) -> str:
    if metric["value"] is None:
        return f"not measured on {metric['num_rows']:,} rows"
    bounds = f"95 % interval {metric['low']:.4f} to {metric['high']:.4f}"
    return f"{metric['value']:.4f}  ({bounds}, {metric['num_rows']:,} rows)"


def _differences(differences: list[dict[str, Any]]) -> str:
    overall = [item for item in differences if item["slice"] == "all" and item["value"] is not None]
    return "; ".join(
        f"{item['metric']} {item['value']:+.4f} ({item['low']:+.4f} to {item['high']:+.4f})" for item in overall[:3]
    )
