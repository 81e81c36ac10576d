from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.errors import IntegrityError, RollbackRefused, UsageError
from pipelines.registry.ledger import read_ledger
from pipelines.steps.find_champion import find_champion
from pipelines.steps.roll_back import roll_back
from pipelines.steps.run import run_step_in


def _at(workshop: Any, seq: int) -> datetime:
    return datetime.fromisoformat(read_ledger(workshop.context.store, "tiny")[seq - 1].at)


def test_the_champion_of_a_moment_stays_the_same_whatever_comes_after(champions: Any) -> None:
    workshop = champions(3)
    now = datetime.now(UTC)
    before = find_champion(workshop.context, now)
    roll_back(workshop.context, "previous", "slow", "ada")
    assert find_champion(workshop.context, now) == before
    assert (before.version, before.previous_version, before.ledger_seq) == (3, 2, 3)
    assert find_champion(workshop.context, datetime.now(UTC)).version == 2


def test_a_version_serves_from_its_entry_on(champions: Any) -> None:
    workshop = champions(2)
    second = _at(workshop, 2)
    assert find_champion(workshop.context, second).version == 2
    assert find_champion(workshop.context, second - timedelta(microseconds=1)).version == 1


def test_before_the_first_promotion_there_is_nothing_to_go_back_from(champions: Any) -> None:
    workshop = champions(1)
    with pytest.raises(RollbackRefused, match=r"tiny had no champion at .*: there is nothing to go back from"):
        find_champion(workshop.context, _at(workshop, 1) - timedelta(seconds=1))


def test_a_champion_that_is_not_whole_is_found_all_the_same(champions: Any) -> None:
    workshop = champions(2)
    workshop.context.store.delete(read_ledger(workshop.context.store, "tiny")[-1].candidate_key)
    assert find_champion(workshop.context, datetime.now(UTC)).version == 2


def test_an_altered_ledger_is_named(champions: Any) -> None:
    context = champions(1).context
    key = "tiny/ledger/00000001.json"
    context.store.write(key, context.store.read(key).replace(b"ada", b"eve"))
    with pytest.raises(IntegrityError, match="was altered"):
        find_champion(context, datetime.now(UTC))


@pytest.mark.parametrize("as_of", ["soon", "2013-05-01T00:00:00"])
def test_a_moment_is_a_text_with_a_zone(champions: Any, as_of: str) -> None:
    context = champions(1).context
    with pytest.raises(UsageError, match="Step find_champion cannot read its record 'as_of'"):
        run_step_in(context, "find_champion", as_of)
    assert run_step_in(context, "find_champion", "2999-01-01T00:00:00+02:00")["version"] == 1
