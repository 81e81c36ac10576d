"""Fine-tune as planned, in processes of its own, from the newest checkpoint on, and keep the tuned model."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from pipelines.errors import RegistryError, UsageError
from pipelines.llm import checkpoint_store, history
from pipelines.llm.checkpoint_store import CheckpointSender
from pipelines.llm.frontier import Frontier, Point
from pipelines.llm.history import Event, History, Training
from pipelines.llm.job import TrainingJob, fit_to
from pipelines.llm.launcher import launch
from pipelines.llm.packing.manifest import PackedManifest
from pipelines.llm.planner.detail import TrainingPlanDetail
from pipelines.llm.pretrained import PretrainedFolder, open_pretrained
from pipelines.records import Candidate, Packed, TuningPlan
from pipelines.registry import runs
from pipelines.registry.provenance import code_commit, environment_sha256
from pipelines.spec import LlmSpec
from pipelines.steps.candidates import made_once
from pipelines.steps.context import Context
from pipelines.store.base import Store
from pipelines.store.trees import store_tree
from pipelines.store.verified import fetch_verified, read_record, write_record

LOG = logging.getLogger(__name__)


def train(context: Context[LlmSpec], plan: TuningPlan) -> Candidate:
    """Return the candidate of a fine-tuning, made once: the same plan again gives the same record.

    Checkpoints are kept under the environment's home and in the store until the candidate is stored. With another
    number of processes in the spec than was planned, the training goes on with that many.

    Raises:
        TrainingDiverged: If the loss went wrong.
        TrainingError: If a process ended or hung, or the training was asked to stop; running again goes on.
        IntegrityError: If corpus or plan are not what was written, or no checkpoint of this training is whole.
        RegistryError: If MLflow does not answer; the candidate is stored by then, and running again goes on.
    """
    candidate = made_once(context, plan.plan_key.removesuffix(".json"), lambda: _train(context, plan))
    _clear(context, plan)
    _show(context, candidate)
    return candidate


def _train(context: Context[LlmSpec], plan: TuningPlan) -> Candidate:
    started = time.monotonic()
    detail = fit_to(
        read_record(context.store, plan.plan_key, TrainingPlanDetail, plan.plan_sha256),
        context.spec.hardware.world_size,
    )
    pretrained = open_pretrained(context.spec.pretrained, context.environment.home)
    if pretrained.sha256 != plan.packed.pretrained_sha256:
        raise UsageError(
            f"Pretrained model {pretrained.folder} has hash {pretrained.sha256[:12]}, and the corpus was packed for "
            f"{plan.packed.pretrained_sha256[:12]}: its tokens may mean other words. Nothing was trained; pack again."
        )
    with _fetched(context.store, plan.packed, _work_folder(context, plan)) as packed:
        job = _job(context, plan, detail, pretrained, packed)
        training = _run(context, plan, job, started)
        training_key = write_record(context.store, f"{plan.model}/trainings", training)
        model_key, model_sha256 = store_tree(
            context.store, plan.model, Path(job.output), context.spec.training.method, pretrained.sha256
        )
    return Candidate(
        model=plan.model,
        snapshot_id=plan.packed.snapshot.snapshot_id,
        model_key=model_key,
        model_sha256=model_sha256,
        training_key=training_key,
        mlflow_run_id=plan.mlflow_run_id,
        algorithm=f"{context.spec.training.method} fine-tuning of {pretrained.name}",
        validation_metric="validation loss",
        validation_score=training.best_loss,
        num_trials=1,
        seconds=round(time.monotonic() - started, 3),
        spec_sha256=context.spec.sha256,
        code_commit=code_commit(),
        environment_sha256=environment_sha256(),
    )


def _run(context: Context[LlmSpec], plan: TuningPlan, job: TrainingJob, started: float) -> Training:
    """Launch the processes, and tell of them as they go."""
    prefix = _checkpoint_prefix(plan)
    checkpoint_store.fetch_newest(context.store, prefix, job.identity, Path(job.checkpoints))
    told, shown = History(), _Shown(context, plan)
    with CheckpointSender(context.store, prefix).sending() as sender:

        def hear(event: Event) -> None:
            told.hear(event)
            shown.hear(event)
            if event["event"] == "checkpoint":
                sender.offer(Path(event["folder"]))

        done = launch(job, hear, context.environment.home)
    training = told.close(job, plan.plan_sha256, done, time.monotonic() - started)
    _warn(training, context.spec.training.forgetting_margin)
    shown.summarise(training)
    return training


def _warn(training: Training, margin: float) -> None:
    if training.best_loss >= training.base_loss:
        LOG.warning(
            "the tuned model's validation loss %.4f is no better than the pretrained one's %.4f",
            training.best_loss,
            training.base_loss,
        )
    if Frontier(training.base_general_loss, margin).forgets(Point(training.best_loss, training.best_general_loss)):
        LOG.warning(
            "at every look the model had forgotten: its loss on general text rose from %.4f to %.4f at the least, and "
            "training.forgetting_margin is %g",
            training.base_general_loss,
            training.best_general_loss,
            margin,
        )


class _Shown:
    """Shows a training while it runs: a line in the log, a point in MLflow's curves."""

    def __init__(self, context: Context[LlmSpec], plan: TuningPlan) -> None:
        self._environment, self._run_id = context.environment, plan.mlflow_run_id
        self._is_quiet = False

    def hear(self, event: Event) -> None:
        if (line := history.line(event)) is not None:
            LOG.info("%s", line)
        if event["event"] == "step":
            names = ("loss", "rate", "grad_norm", "tokens_per_second")
            self._log({f"train_{name}": event[name] for name in names}, event["step"])
        elif event["event"] == "validation":
            looked = {"validation_loss": event["loss"], "general_loss": event["general_loss"]}
            self._log({name: value for name, value in looked.items() if value is not None}, event["step"])

    def summarise(self, training: Training) -> None:
        """Put what was forecast beside what was measured."""
        figures: dict[str, float | None] = {
            "base_validation_loss": training.base_loss,
            "best_validation_loss": training.best_loss,
            "base_general_loss": training.base_general_loss,
            "best_general_loss": training.best_general_loss,
            "best_step": training.best_step,
            "tokens_per_second": training.tokens_per_second,
            "training_seconds": training.seconds,
            "peak_bytes": training.peak_bytes,
            "forecast_bytes": training.forecast_bytes,
            "step_seconds": training.step_seconds,
            "forecast_step_seconds": training.forecast_step_seconds,
        }
        self._log({name: value for name, value in figures.items() if value is not None}, training.num_steps)

    def _log(self, figures: dict[str, float], step: int) -> None:
        """Write to MLflow; a curve that cannot be drawn is no reason to lose the training."""
        if self._is_quiet:
            return
        try:
            runs.log_metrics(self._environment, self._run_id, figures, step)
        except RegistryError as error:
            self._is_quiet = True
            LOG.warning("MLflow is told nothing more of this training: %s", error)


def _job(
    context: Context[LlmSpec],
    plan: TuningPlan,
    detail: TrainingPlanDetail,
    pretrained: PretrainedFolder,
    packed: Path,
) -> TrainingJob:
    work = _work_folder(context, plan)
    return TrainingJob(
        plan_id=_plan_id(plan),
        pretrained=str(pretrained.folder),
        pretrained_sha256=pretrained.sha256,
        packed=str(packed),
        packed_sha256=plan.packed.manifest_sha256,
        checkpoints=str(_checkpoint_folder(context, plan)),
        work=str(work),
        output=str(work / "model"),
        settings=context.spec.training,
        plan=detail,
    )


@contextmanager
def _fetched(store: Store, packed: Packed, work: Path) -> Iterator[Path]:
    """Give a folder with the packed files, each compared with its hash; on a disk's store nothing is copied."""
    folder = work / "packed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    manifest = read_record(store, packed.manifest_key, PackedManifest, packed.manifest_sha256)
    with ExitStack() as stack:
        for file in manifest.files:
            key = str(PurePosixPath(packed.manifest_key).with_name(file.path))
            (folder / file.path).symlink_to(stack.enter_context(fetch_verified(store, key, file.content_sha256)))
        yield folder


def _plan_id(plan: TuningPlan) -> str:
    return PurePosixPath(plan.plan_key).stem


def _checkpoint_prefix(plan: TuningPlan) -> str:
    return f"{plan.model}/checkpoints/{_plan_id(plan)}"


def _checkpoint_folder(context: Context[LlmSpec], plan: TuningPlan) -> Path:
    return context.environment.home / "checkpoints" / _plan_id(plan)


def _work_folder(context: Context[LlmSpec], plan: TuningPlan) -> Path:
    return context.environment.home / "trainings" / _plan_id(plan)


def _clear(context: Context[LlmSpec], plan: TuningPlan) -> None:
    """Remove what only an unfinished training needs; logs stay."""
    checkpoint_store.remove_all(context.store, _checkpoint_prefix(plan))
    shutil.rmtree(_checkpoint_folder(context, plan), ignore_errors=True)
    shutil.rmtree(_work_folder(context, plan) / "model", ignore_errors=True)


def _show(context: Context[LlmSpec], candidate: Candidate) -> None:
    tags = {"tandem.algorithm": candidate.algorithm, "tandem.model_sha256": candidate.model_sha256}
    runs.set_tags(context.environment, candidate.mlflow_run_id, tags)
    LOG.info("%s: %s %.5g", candidate.algorithm, candidate.validation_metric, candidate.validation_score)
