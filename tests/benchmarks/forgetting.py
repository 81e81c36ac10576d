"""Whether the gate tells a good fine-tune from one that forgets, and whether what the good one gained is its domain.

Three real trainings of the demo's model, each of the same number of tokens: one as the demo does it; one with a rate
far too high; and a control that learns general text (Wikipedia passages of BoolQ) instead of Python's documentation.
The first must be promoted, the second refused. The control tells how much of the gain on held-out documentation any
text would have given: the first is domain learning only as far as it beats the control on the same items.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from measure import ROOT, bench_folder, report

RATE_FAR_TOO_HIGH = 5e-3
PASSAGES = 3_000
STEPS_TO_TRAIN = ("ingest", "prepare", "validate", "snapshot", "pack", "plan", "train")


def main() -> int:
    """Train, judge, compare, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="go on from what an earlier run left")
    options = parser.parse_args()
    home = bench_folder() / "forgetting"
    if not options.keep:
        shutil.rmtree(home, ignore_errors=True)
    outcomes, good, environment, store = _judged(home)
    print(json.dumps(outcomes, indent=2))
    told_apart = outcomes["good"]["outcome"] == "promote" and outcomes["ruined"]["outcome"] == "reject"
    ok = report(
        "forgetting", float(told_apart), "gate tells them apart", 1.0, "three real trainings", higher_is_better=True
    )
    worst = _beside_control(home, good, environment, store)
    return 0 if report("domain_learning", worst, "nats", 0.0, "the same tokens of general text") and ok else 1


def _judged(home: Path) -> tuple[dict[str, Any], Any, Any, Any]:
    """Return what the gate says of the good and of the ruined one, and the good candidate."""
    from pipelines.errors import Refused, TrainingDiverged
    from pipelines.records import Candidate, Judged
    from pipelines.spec import LlmSpec, load_model
    from pipelines.steps.run import run_step_in

    spec = load_model("python_helper")
    assert isinstance(spec, LlmSpec)
    ruined = spec.training.model_copy(update={"learning_rate": RATE_FAR_TOO_HIGH, "early_stop": None})
    specs = {"good": spec, "ruined": spec.model_copy(update={"name": "ruined", "training": ruined})}
    outcomes, candidates, context = {}, {}, None
    for name, each in specs.items():
        context = _context(home, each)
        try:
            candidate = _train(context)
            candidates[name] = Candidate.from_dict(candidate)
            evaluation = run_step_in(context, "evaluate", candidate)
            _print_figures(name, evaluation)
            judged = Judged.from_dict(run_step_in(context, "gate", candidate, evaluation))
            outcomes[name] = {"outcome": judged.outcome, "reason": "every rule holds"}
        except TrainingDiverged as error:
            outcomes[name] = {"outcome": "reject", "reason": f"the training ended: {error}"}
        except Refused as error:
            outcomes[name] = {"outcome": "reject", "reason": str(error)}
    assert context is not None
    return outcomes, candidates["good"], context.environment, context.store


def _beside_control(home: Path, good: Any, environment: Any, store: Any) -> float:
    """Return the worse end of the interval of answer loss, good minus control, on the same held-out documentation."""
    from pipelines.data.snapshots import read_holdout
    from pipelines.llm.evaluation.holdout import answer_loss, choose_held_out
    from pipelines.llm.evaluation.language_model import LanguageModel
    from pipelines.llm.evaluation.measuring import measure_all
    from pipelines.llm.evaluation.scores import score_model
    from pipelines.llm.pretrained import open_pretrained
    from pipelines.records import Candidate
    from pipelines.spec import load_model
    from pipelines.spec.corpus import Corpus
    from pipelines.store.trees import fetch_tree

    spec: Any = load_model("python_helper")
    source = {"type": "files", "paths": [str(_write_passages(home))], "format": "jsonl", "partition_by": "none"}
    control_spec = type(spec).model_validate(
        spec.model_dump()
        | {"name": "control", "source": source, "corpus": Corpus(form="text").model_dump()}
        | {"quality": {"expectations": []}}
    )
    control = Candidate.from_dict(_train(_context(home, control_spec)))
    items = choose_held_out(read_holdout(store, spec.name, good.snapshot_id), spec, 0)
    part = [answer_loss(items, spec.training.sequence_length)]

    def scores(candidate: Any) -> Any:
        with fetch_tree(store, candidate.model_key, candidate.model_sha256) as folder:
            return score_model(store, "bench", candidate.model_sha256, part, lambda: LanguageModel.load(folder))

    base = open_pretrained(spec.pretrained, environment.home)
    of_base = score_model(store, "bench", base.sha256, part, lambda: LanguageModel.load(base.folder))
    figures = measure_all(scores(good), scores(control), of_base, {}, 1000, 0)
    measured = {"good": figures.metrics, "control": figures.champion_metrics, "base": figures.base_metrics}
    for name, found in measured.items():
        print(name, [f"{one.metric} {one.value:.4f}" for one in found if one.value is not None])
    (difference,) = [one for one in figures.differences if (one.metric, one.slice) == ("answer_loss", "all")]
    print(f"good minus control: {difference.value:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] nats")
    assert difference.high is not None
    return difference.high


def _context(home: Path, spec: Any) -> Any:
    from pipelines.spec.environment import Environment
    from pipelines.steps.context import Context
    from pipelines.store import open_store

    environment = Environment.model_validate(
        {
            "name": "bench",
            "home": home,
            "store": {"uri": f"file://{home}/store"},
            "mlflow": {"tracking_uri": f"sqlite:///{home}/mlflow.db", "artifact_root": f"file://{home}/artifacts"},
        }
    )
    home.mkdir(parents=True, exist_ok=True)
    return Context(spec, environment, open_store(environment.store))


def _train(context: Any) -> Any:
    from pipelines.records import RunRequest
    from pipelines.steps.run import run_step_in

    asked, record = RunRequest(by="benchmark").to_dict(), None
    for step in STEPS_TO_TRAIN:
        given = {"ingest": [asked], "plan": [record, asked]}.get(step, [record])
        record = run_step_in(context, step, *given)
        print(f"{context.spec.name}: {step}", flush=True)
    return record


def _write_passages(home: Path) -> Path:
    """Write Wikipedia passages, one a line, and return the file."""
    from pipelines.llm.suites import read_items

    passages = {item.prompts[0].partition("\nQuestion:")[0]: None for item in read_items("boolq", PASSAGES, 0)}
    path = home / "passages.jsonl"
    path.write_text("".join(f"{json.dumps({'text': text})}\n" for text in passages))
    return path


def _print_figures(name: str, evaluation: dict[str, Any]) -> None:
    print(f"{name} minus base:")
    for one in evaluation["base_differences"]:
        if one["slice"] == "all" and one["value"] is not None:
            print(f"  {one['metric']:<24} {one['value']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
