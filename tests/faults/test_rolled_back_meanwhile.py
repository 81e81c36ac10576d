"""Go back to an older champion between two steps: nobody asks for a training by what the newer one did."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.steps.decide import decide
from pipelines.steps.roll_back import roll_back
from tests.steps.watching import Place, copy_tiny, second_champion

DAY = 13


@pytest.fixture
def place(trained_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A second version that serves, and has answered a day on which all labels are reversed."""
    place = copy_tiny(trained_tiny, tmp_path, monkeypatch)
    second_champion(place)
    place.deliver(DAY, is_reversed=True)
    place.score(DAY)
    return place


def test_between_monitoring_and_the_decision_nothing_is_asked_and_it_is_said_why(place: Place) -> None:
    monitored = place.monitor(DAY)
    assert any(one.dropped for one in place.newest(monitored).performance)
    roll_back(place.context, 1, "it fell", "ada")
    decided = decide(place.context, monitored)
    assert (decided.outcome, decided.run_id) == ("none", None)
    assert decided.reasons[0].endswith("was scored by a version that serves no more")
    assert place.decisions()[-1].action == "observed"


def test_between_the_decision_and_its_run_the_run_that_was_asked_for_stays_one(place: Place) -> None:
    decided = place.decide(DAY)
    assert decided.outcome == "start"
    roll_back(place.context, 1, "it fell", "ada")
    again = place.decide(DAY)
    assert (again.outcome, again.run_id) == ("known", decided.run_id)
    assert [entry.action for entry in place.decisions()].count("requested") == 1
