"""Take the store or MLflow away while a champion answers and is watched, and find what there would be without it.

The store is a bucket of a real server, and the way to it is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StoreError
from pipelines.records import Decided, Record
from pipelines.spec.environment import StoreSettings
from pipelines.steps.request import request
from pipelines.steps.verify_decisions import verify_decisions
from pipelines.store import open_store
from tests.steps.deciding import wish
from tests.steps.watching import MODEL, Place, copy_tiny, end_of
from tests.store.conftest import Wire

DAY = 13  # its labels are reversed, so that the champion has dropped
Act = Callable[[Place], Record]

ACTS: dict[str, Act] = {
    "score": lambda place: place.score(DAY),
    "monitor": lambda place: place.monitor(DAY),
    "decide": lambda place: place.decide(DAY),
}
CUTS = {"score": (0.0, 0.6), "monitor": (0.6,), "decide": (0.6, 0.9)}  # shares of what is sent until it is done
BEFORE: dict[str, tuple[str, ...]] = {"score": (), "monitor": ("score",), "decide": ("score", "monitor")}


@dataclass
class Site:
    """A place whose rows are delivered, its store as it is in a bucket for each who asks, and wires to that bucket."""

    place: Place
    settings: StoreSettings
    wires: list[Wire] = field(default_factory=list)

    def near(self, name: str) -> Place:
        """Return the place over a part of the bucket of its own, filled with what the place has now."""
        store = open_store(self._settings(name))
        for info in self.place.context.store.list():
            store.write(info.key, self.place.context.store.read(info.key))
        return self._over(self._settings(name))

    def far(self, name: str) -> tuple[Place, Wire]:
        """Return the place over the same part of the bucket, reached by a wire."""
        wire = Wire(str(self.settings.s3_endpoint_url))
        self.wires.append(wire)
        wired = self._settings(name).model_copy(update={"s3_endpoint_url": wire.endpoint_url})
        return self._over(wired), wire

    def _settings(self, name: str) -> StoreSettings:
        return self.settings.model_copy(update={"uri": f"{self.settings.uri}/{name}"})

    def _over(self, settings: StoreSettings) -> Place:
        return Place(replace(self.place.context, store=open_store(settings)), self.place.rows)


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = copy_tiny(trained_tiny, tmp_path, monkeypatch)
    place.deliver(DAY, is_reversed=True)
    return place


@pytest.fixture
def site(place: Place, s3_settings: StoreSettings, tmp_path: Path) -> Iterator[Site]:
    site = Site(place, s3_settings.model_copy(update={"uri": f"{s3_settings.uri}/outage/{tmp_path.name}"}))
    yield site
    for wire in site.wires:
        wire.cut()


def objects(place: Place) -> dict[str, bytes]:
    """Return all that is stored, but for decisions and requests, which tell the clock, and pages that show them."""
    apart = tuple(f"{MODEL}/{folder}/" for folder in ("decisions", "requests", "reports/monitoring"))
    store = place.context.store
    return {info.key: store.read(info.key) for info in store.list(f"{MODEL}/") if not info.key.startswith(apart)}


def differing(place: Place, other: dict[str, bytes]) -> set[str]:
    """Return the keys under which not the same is stored."""
    return {key for key, _ in objects(place).items() ^ other.items()}


def chain(place: Place) -> list[tuple[Any, ...]]:
    assert verify_decisions(place.context)["problems"] == []
    return [(one.action, one.requests, one.run_id, one.reasons) for one in place.decisions()]


def left(record: Record) -> Any:
    """Return what a step left; a decision that is there already is told as known, and is of the same run."""
    return (record.request_id, record.run_id, record.run_after) if isinstance(record, Decided) else record


@pytest.mark.parametrize("name", ACTS)
def test_the_store_goes_down_in_the_middle_and_what_is_done_again_is_what_it_would_have_been(
    name: str, site: Site
) -> None:
    for before in BEFORE[name]:
        ACTS[before](site.place)
    undisturbed = site.near("undisturbed")
    measured, wire = site.far("undisturbed")
    expected = left(ACTS[name](measured))
    whole, decisions = objects(undisturbed), chain(undisturbed)
    for number, share in enumerate(CUTS[name]):
        again = site.near(f"cut-{number}")
        cut, broken = site.far(f"cut-{number}")
        broken.after_bytes = (int(share * wire.bytes_sent), broken.cut)
        with pytest.raises(StoreError) as raised:
            ACTS[name](cut)
        said = str(raised.value)
        assert f"S3 at {broken.endpoint_url} does not answer" in said
        assert said.endswith(("Nothing was read or changed.", "the same write can be tried again."))
        assert objects(again).items() <= whole.items(), "half-written"
        for _ in range(2):  # once it is back, and once more
            assert left(ACTS[name](again)) == expected
            assert differing(again, whole) == set()
            assert chain(again) == decisions


def test_without_mlflow_rows_are_answered_watched_and_a_training_is_asked_for(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copy_tiny(tmp_path, tmp_path / "bright", monkeypatch)
    dark = without_mlflow(copy_tiny(tmp_path, tmp_path / "dark", monkeypatch))
    for act in ACTS.values():
        assert left(act(dark)) == left(act(place))
    assert objects(dark).keys() == objects(place).keys()
    assert chain(dark) == chain(place)
    assert request(dark.context, wish(model=MODEL), end_of(DAY)).outcome == "fold"


def without_mlflow(place: Place) -> Place:
    settings = place.context.environment.mlflow.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    environment = place.context.environment.model_copy(update={"mlflow": settings})
    return Place(replace(place.context, environment=environment), place.rows)
