"""Play a span of past data through the real DAGs, window by window, as if each had just ended.

For each window: `score__<model>` lets the champion answer its rows; `monitor__<model>` looks at them as the world was
known at the window's end, and decides; a retraining that it asks for is followed to its verdict. Beside it stand the
champion that served first, left as it was, and an oracle trained anew for every window. What came of a window is
stored, and a replay that is started again goes on behind it.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipelines.data.snapshots import read_manifest
from pipelines.data.windows import bounds
from pipelines.errors import DataError, ServiceError, UsageError
from pipelines.gates.pictures.style import save
from pipelines.local.airflow_api import AirflowApi
from pipelines.local.demo import run_dag, wait_for_dag
from pipelines.local.follow import Follower
from pipelines.local.replay_windows import PlayedWindow, windows_between
from pipelines.monitoring.pictures.replay import draw_replay
from pipelines.monitoring.reasons import deciding_metric
from pipelines.monitoring.replay import ReplayMonth, Score, summarize
from pipelines.monitoring.replay_page import render_replay
from pipelines.records import (
    Candidate,
    Decided,
    Ingested,
    LedgerEntry,
    MetricValue,
    MonitoringReport,
    Record,
    Scored,
    Window,
    sha256_of,
)
from pipelines.registry.champion import candidate_of
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.spec import ClassicSpec, load_environment
from pipelines.steps.classic.replaying import measure_window, train_oracle
from pipelines.steps.context import Context, replay_folder
from pipelines.store.verified import put_first_record, read_record

LOG = logging.getLogger(__name__)
MOST_TRIES = 20
_BY = "tandem replay"

Connect = Callable[[str, str, str], AirflowApi]


class Replayed(Record):
    """All windows of a replay, oldest first."""

    model: str
    metric: str
    first_version: int
    windows: tuple[ReplayMonth, ...]


def keep(replayed: Replayed) -> dict[str, Any]:
    """Write the picture and the page of a replay to a folder under the home, and return it all as plain JSON."""
    folder = load_environment().home / "replays" / f"{replayed.model}-{replayed.windows[0].window_name}"
    folder.mkdir(parents=True, exist_ok=True)
    picture = save(draw_replay(replayed.windows, replayed.metric), folder, "replay")
    page = folder / "replay.html"
    page.write_text(render_replay(replayed.model, replayed.windows, replayed.metric))
    summary = summarize(replayed.windows, replayed.metric)
    return {**replayed.to_dict(), "summary": summary.to_dict(), "picture": str(picture), "page": str(page)}


def replay(model: str, first: str, last: str, links: Mapping[str, str], connect: Connect = AirflowApi) -> Replayed:
    """Play the windows from `first` to `last` and return what came of each.

    Args:
        model: Name of the model spec.
        first: The first window, such as `2013-04`.
        last: The last one, included.
        links: What `make up` answered: addresses, user and password.
        connect: Gives a client of the Airflow at an address, for a user and a password.

    Raises:
        UsageError: If the model or the windows cannot be replayed.
        Refused: If the model has no champion, and the first training is refused.
        Fault: If something outside is broken; starting again goes on with the window that was not finished.
    """
    context = _classic(model)
    windows = windows_between(context.spec.source.partition_by, first, last)
    if not read_ledger(context.store, model):
        LOG.info("%s has no champion yet: train__%s runs first.", model, model)
        run_dag(model, links)
    player = _Player.start(context, windows, lambda: connect(links["airflow_url"], links["user"], links["password"]))
    measured = list[Future[None]]()
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as oracle,
        ThreadPoolExecutor(1, "measuring") as measuring,
    ):
        for number, window in enumerate(windows, 1):
            LOG.info("Window %s, %d of %d", window.name, number, len(windows))
            if player.was_played(window):
                LOG.info("It was played before.")
                continue
            measured.append(player.play(window, oracle, measuring))
            _raise_errors(one for one in measured if one.done())
        _raise_errors(measured)
    return player.replayed()


def _raise_errors(measured: Iterable[Future[None]]) -> None:
    for one in measured:
        one.result()


def _classic(model: str) -> Context[ClassicSpec]:
    context = Context.open(model)
    if not isinstance(context.spec, ClassicSpec):
        raise UsageError(f"{model} is a language model; only classic models are replayed. Nothing was replayed.")
    return Context(context.spec, context.environment, context.store)


@dataclass(frozen=True)
class _Player:
    context: Context[ClassicSpec]
    replay: str
    first: LedgerEntry
    connect: Callable[[], AirflowApi]

    @classmethod
    def start(
        cls, context: Context[ClassicSpec], windows: list[PlayedWindow], connect: Callable[[], AirflowApi]
    ) -> _Player:
        """Return a player that holds all windows against the champion that served when the replay first began."""
        model, store = context.spec.name, context.store
        serving = champion_entry(read_ledger(store, model))
        if serving is None:
            raise ServiceError(f"{model} has no champion after its training; see Airflow's page of train__{model}.")
        name = sha256_of([context.spec.sha256, windows[0].name])[:12]
        key = f"{replay_folder(model, name)}/first.json"
        first = put_first_record(store, key, serving)
        if first != serving:
            LOG.info("Replay %s began before; it goes on.", name)
        _check_fairness(context, first, windows[0])
        return cls(context, name, first, connect)

    def was_played(self, window: PlayedWindow) -> bool:
        """Tell whether all that came of a window is stored."""
        return self.context.store.stat(self._key(window.name)) is not None

    def play(self, window: PlayedWindow, oracle: Executor, measuring: Executor) -> Future[None]:
        """Let one window happen, and return what stores all that came of it: nothing that comes next waits for that.

        Args:
            window: The window.
            oracle: Where the oracle is trained.
            measuring: Where the window is measured as soon as it has been.
        """
        model = self.context.spec.name
        first = candidate_of(self.context.store, self.first, "Nothing was measured")
        knows_all = bounds(_trained_on(self.context, first))[1] == bounds(window.span)[0]
        training = None if knows_all else oracle.submit(_oracle, model, window)  # while Airflow's tasks mostly start
        with self.connect() as api:
            for kind in ("score", "monitor", "train"):
                wait_for_dag(api, f"{kind}__{model}")
                api.unpause(f"{kind}__{model}")
            ingested, scored = self._score(api, window)
            report, decided = self._monitor(api, window)
            outcome = self._retrain(api, decided)
        serving = champion_entry(read_ledger(self.context.store, model))

        def measure() -> None:
            models = {"frozen": first, "oracle": first if training is None else training.result()}
            played = self._measured(window, ingested, scored, report, decided, outcome, serving, models)
            self.context.store.put_if_absent(self._key(window.name), played.to_bytes())
            LOG.info("Measured %s: %s", window.name, _told(played))

        return measuring.submit(measure)

    def replayed(self) -> Replayed:
        """Return all windows that were played so far."""
        store = self.context.store
        keys = sorted(info.key for info in store.list(self._key("").removesuffix(".json")))
        return Replayed(
            model=self.context.spec.name,
            metric=deciding_metric(self.context.spec),
            first_version=self.first.version,
            windows=tuple(read_record(store, key, ReplayMonth) for key in keys),
        )

    def _key(self, name: str) -> str:
        return f"{replay_folder(self.context.spec.name, self.replay)}/windows/{name}.json"

    def _score(self, api: AirflowApi, window: PlayedWindow) -> tuple[Ingested, Scored]:
        dag_id = f"score__{self.context.spec.name}"
        run_id = self._follow_new(api, dag_id, window)
        ingested, scored = (api.returned(dag_id, run_id, task) for task in ("ingest", "collect"))
        return Ingested.from_dict(ingested), Scored.from_dict(scored)

    def _monitor(self, api: AirflowApi, window: PlayedWindow) -> tuple[MonitoringReport, Decided]:
        dag_id = f"monitor__{self.context.spec.name}"
        run_id = self._follow_new(api, dag_id, window)
        monitored = api.returned(dag_id, run_id, "monitor")
        decided = Decided.from_dict(api.returned(dag_id, run_id, "decide"))
        key, sha256 = monitored["report_keys"][-1], monitored["report_sha256s"][-1]
        return read_record(self.context.within(self.replay).store, key, MonitoringReport, sha256), decided

    def _retrain(self, api: AirflowApi, decided: Decided) -> str | None:
        """Follow the training that was decided on, and return how it ended; None where there was none."""
        if decided.run_id is None:
            return None
        dag_id = f"train__{self.context.spec.name}"
        return Follower(api, dag_id, decided.run_id, LOG.info).follow()

    def _follow_new(self, api: AirflowApi, dag_id: str, window: PlayedWindow) -> str:
        """Follow a window's run to its end, and return its id; where one failed before, under the next number."""
        conf = {
            "data_start": window.start,
            "data_end": window.end,
            "as_of": window.as_of,
            "replay": self.replay,
            "note": _BY,
        }
        for number in range(1, MOST_TRIES):
            run_id = f"replay__{self.replay}__{window.name}" + (f"-{number}" if number > 1 else "")
            if not api.trigger(dag_id, run_id, conf) and api.run(dag_id, run_id)["state"] == "failed":
                continue
            if Follower(api, dag_id, run_id, LOG.info).follow() == "success":
                return run_id
            raise ServiceError(f"Run {run_id} of {dag_id} ended red; the lines above say why. The replay stops here.")
        raise ServiceError(f"{MOST_TRIES} runs of {dag_id} for {window.name} have failed; read their logs first.")

    def _measured(
        self,
        window: PlayedWindow,
        ingested: Ingested,
        scored: Scored,
        report: MonitoringReport,
        decided: Decided,
        outcome: str | None,
        serving: LedgerEntry | None,
        models: Mapping[str, Candidate],
    ) -> ReplayMonth:
        values = self._values(window, ingested, scored, models)
        promoted = serving.version if serving and serving.version != scored.champion_version else None
        return ReplayMonth(
            window_name=window.name,
            frozen=_score(values.get("frozen")),
            served=_score(values.get("served")),
            served_version=scored.champion_version,
            oracle=_score(values.get("oracle")),
            num_drifted=sum(one.drifted for one in report.columns),
            num_alarms=sum(one.severity != "info" for one in report.anomalies),
            outcome=decided.outcome,
            reason="; ".join(decided.reasons),
            retrained=outcome is not None,
            promoted_version=promoted if outcome == "success" else None,
            is_oracle_retrained=models["oracle"] != models["frozen"],
        )

    def _values(
        self, window: PlayedWindow, ingested: Ingested, scored: Scored, models: Mapping[str, Candidate]
    ) -> dict[str, MetricValue]:
        """Return how each model did in a window, and what was served; nothing where no row came."""
        served = [one for one in scored.partitions if one.name == window.name and one.role == "champion"]
        rows = [one for one in ingested.partitions if one.name == window.name]
        if not served or not rows:
            LOG.warning("Window %s has no rows: nothing was measured.", window.name)
            return {}
        return measure_window(self.context, rows[0], deciding_metric(self.context.spec), models, served[0])


def _oracle(model: str, window: PlayedWindow) -> Candidate:
    """Train on all rows before a window."""
    context = _classic(model)
    return train_oracle(context, Window(start=context.spec.schedule.data_start, end=window.begin), _BY)


def _score(value: MetricValue | None) -> Score | None:
    return None if value is None or value.value is None else Score(value=value.value, low=value.low, high=value.high)


def _told(played: ReplayMonth) -> str:
    scores = {"frozen": played.frozen, "served": played.served, "oracle": played.oracle}
    return ", ".join(f"{name} {score.value:.3f}" for name, score in scores.items() if score) or "no labelled rows"


def _trained_on(context: Context[ClassicSpec], candidate: Candidate) -> Window:
    return read_manifest(context.store, context.spec.name, candidate.snapshot_id).training.window


def _check_fairness(context: Context[ClassicSpec], first: LedgerEntry, window: PlayedWindow) -> None:
    """Refuse a replay of rows that the first champion has learnt from: it would look better than it was."""
    trained = _trained_on(context, candidate_of(context.store, first, "Nothing was replayed"))
    end, begins = bounds(trained)[1], bounds(window.span)[0]
    if end is None or begins is None or end > begins:
        raise DataError(
            f"Version {first.version} of {context.spec.name} was trained on rows until {trained.end}, and the replay "
            f"begins with {window.start}. Nothing was replayed; begin later, or with a champion of older rows."
        )
