from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import UsageError
from pipelines.monitoring.policy import (
    begin_run,
    look,
    moment_of,
    next_start,
    retraining_of,
    run_id_of,
    take,
    text_of,
)
from pipelines.records import BegunRun, DecisionState, RetrainingRequest, Window
from pipelines.spec import load_model
from pipelines.spec.watching import Retraining

START = datetime(2013, 5, 1, tzinfo=UTC)
NONE = DecisionState()


def _request(number: int = 1, **changes: Any) -> RetrainingRequest:
    return RetrainingRequest(model="m", reason="event", evidence={"number": number}, **changes)


def _begun(*days: float, hours: float = 0.0) -> list[BegunRun]:
    moments = [text_of(START + timedelta(days=day)) for day in days]
    return [BegunRun(run_id=f"run{number}", as_of=moment, gpu_hours=hours) for number, moment in enumerate(moments)]


def _after(day: float) -> datetime:
    return START + timedelta(days=day)


def test_the_first_request_starts_a_run_at_once() -> None:
    taken = take(NONE, [_request(note="slow")], Retraining(), START, 0)
    assert taken.is_new
    assert (taken.run.run_id, taken.run.run_after) == (run_id_of("m", _request().id), text_of(START))
    assert taken.reasons == ("event: slow",)
    assert taken.state.pending == taken.run


def test_the_id_of_a_run_follows_from_model_and_request_alone() -> None:
    assert run_id_of("m", _request(note="a", by="b").id) == run_id_of("m", _request().id)
    assert run_id_of("m", _request(1).id) != run_id_of("m", _request(2).id)
    assert run_id_of("m", _request().id) != run_id_of("other", _request().id)


def test_a_second_request_goes_into_the_run_that_is_pending_with_its_newer_moment() -> None:
    first = take(NONE, [_request(1)], Retraining(), START, 0)
    second = take(first.state, [_request(2)], Retraining(), _after(2), 0)
    assert not second.is_new
    assert (second.run.run_id, second.run.run_after) == (first.run.run_id, first.run.run_after)
    assert (second.run.as_of, second.run.num_requests) == (text_of(_after(2)), 2)
    assert second.state.num_requests == 2


def test_a_request_after_the_run_began_makes_the_next_and_waits_for_the_cooldown() -> None:
    first = take(NONE, [_request(1)], Retraining(cooldown_days=7), START, 0)
    state = begin_run(first.state, first.run.run_id, START, 0)
    assert state.pending is None
    second = take(state, [_request(2)], Retraining(cooldown_days=7), _after(1), 0)
    assert second.is_new
    assert second.run.run_after == text_of(_after(7))
    assert second.reasons[-1] == (
        f"held until 2013-05-08 00:00 UTC by the cooldown of 7 days after {first.run.run_id}, which began at "
        "2013-05-01 00:00 UTC"
    )


@pytest.mark.parametrize(
    ("days", "rules", "asked", "expected", "held_by"),
    [
        ((), {"cooldown_days": 7}, 0, 0, None),
        ((0,), {"cooldown_days": 0}, 0, 0, None),
        ((0,), {"cooldown_days": 7}, 7, 7, None),
        ((0,), {"cooldown_days": 7}, 6.5, 7, "cooldown of 7 days"),
        ((0, 1, 2), {"cooldown_days": 1, "weekly_runs": 3}, 3, 7, "3 runs in 7 days"),
        ((0, 1, 2), {"cooldown_days": 1, "weekly_runs": 4}, 3, 3, None),
        ((0, 1, 2), {"cooldown_days": 0, "weekly_runs": 1}, 3, 9, "1 runs in 7 days"),
        ((0, 1, 2), {"cooldown_days": 6, "weekly_runs": 1}, 3, 9, "1 runs in 7 days"),
    ],
)
def test_a_run_begins_at_the_first_moment_that_cooldown_and_weekly_runs_allow(
    days: tuple[float, ...], rules: dict[str, Any], asked: float, expected: float, held_by: str | None
) -> None:
    start, reasons = next_start(_begun(*days), Retraining(**rules), _after(asked), 0)
    assert start == _after(expected)
    assert (held_by in reasons[-1]) if held_by else (reasons == ())


@pytest.mark.parametrize(
    ("hours", "forecast", "expected"),
    [
        (4.0, 2.0, 2),  # 4 + 4 + 2 of 10
        (4.0, 3.0, 7),  # the first must be a week old
        (4.0, 7.0, 8),  # both must be
        (4.0, 11.0, 8),  # more than a week's budget: alone in its week, and not never
        (0.0, 9.0, 2),
    ],
)
def test_a_run_waits_for_gpu_hours_and_is_never_forbidden(hours: float, forecast: float, expected: float) -> None:
    rules = Retraining(cooldown_days=0, weekly_runs=9, weekly_gpu_hours=10)
    start, reasons = next_start(_begun(0, 1, hours=hours), rules, _after(2), forecast)
    assert start == _after(expected)
    assert all("10 GPU hours in 7 days; the next run is forecast to take" in reason for reason in reasons)


def test_an_event_from_the_past_is_answered_with_what_is_known_now() -> None:
    seen = look(NONE, _after(30))
    taken = take(seen, [_request()], Retraining(), START, 0)
    assert taken.run.as_of == taken.run.run_after == text_of(_after(30))
    assert look(taken.state, START).as_of == text_of(_after(30))


def test_a_moment_more_than_a_day_ahead_is_refused_in_a_sentence() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment_of("2026-01-01T23:59:59Z", now) == datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)
    with pytest.raises(UsageError, match=r"is 2026-01-02T00:00:01\+00:00, and it is 2026-01-01T00:00:00\+00:00 now"):
        moment_of("2026-01-02T00:00:01Z", now)
    with pytest.raises(UsageError, match="'soon'; allowed is an ISO 8601 time"):
        moment_of("soon", now)


def test_a_moment_is_told_in_utc_whatever_zone_it_came_in() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment_of(None, now) == now
    assert text_of(moment_of("2013-05-01T02:00:00+02:00", now)) == "2013-05-01T00:00:00+00:00"
    assert text_of(moment_of("2013-05-01", now)) == "2013-05-01T00:00:00+00:00"


def test_the_end_of_summer_time_neither_skips_nor_repeats_a_cooldown() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    state = begin_run(NONE, "a", moment_of("2013-10-26T12:00:00+02:00", now), 0)
    taken = take(state, [_request()], Retraining(cooldown_days=1), moment_of("2013-10-26T13:00:00+02:00", now), 0)
    assert taken.run.run_after == "2013-10-27T10:00:00+00:00"  # 24 hours, where the clock on the wall has gone 25


def test_what_a_retraining_is_to_do_follows_from_its_requests_and_the_spec() -> None:
    spec = load_model("flight_delay")
    rules = spec.retraining.model_copy(update={"window_days": 90.0, "budget": None})
    pending = take(NONE, [_request(note="slow", by="ada")], rules, START, 0).run
    run = retraining_of(spec.model_copy(update={"retraining": rules}), pending)
    assert run.window == Window(start="2013-01-31T00:00:00+00:00", end="2013-05-01T00:00:00+00:00")
    assert (run.note, run.by, run.run_id) == ("event: slow", "ada", pending.run_id)
    whole = retraining_of(spec.model_copy(update={"retraining": Retraining()}), pending)
    assert whole.window == Window(start=spec.schedule.data_start, end="2013-05-01T00:00:00+00:00")


def test_a_retraining_that_was_held_learns_what_came_until_it_began() -> None:
    state = begin_run(NONE, "a", START, 0)
    pending = take(state, [_request()], Retraining(cooldown_days=7), _after(1), 0).run
    assert retraining_of(load_model("flight_delay"), pending).window.end == text_of(_after(7))


def test_of_many_requests_the_first_reasons_are_told_and_how_many_there_are() -> None:
    taken = take(NONE, [_request(number, note=f"n{number % 8}") for number in range(40)], Retraining(), START, 0)
    note = retraining_of(load_model("flight_delay"), taken.run).note
    assert note == "event: n0; event: n1; event: n2; event: n3; event: n4; 40 requests in all"


def test_a_note_of_any_length_makes_a_short_reason() -> None:
    (reason,) = take(NONE, [_request(note="line\n" * 10_000)], Retraining(), START, 0).reasons
    assert reason.startswith("event: line line line")
    assert len(reason) < 320


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["request", "look", "fire", "person"]),
        st.floats(min_value=-20, max_value=3),  # days until the next move's moment; events come out of order
        st.floats(min_value=0, max_value=6),  # GPU hours
    ),
    max_size=40,
)
RULES = st.builds(
    Retraining,
    cooldown_days=st.sampled_from([0.0, 0.5, 3.0, 10.0]),
    weekly_runs=st.integers(1, 4),
    weekly_gpu_hours=st.sampled_from([None, 5.0, 20.0]),
)


@settings(max_examples=300, deadline=None)
@given(moves=MOVES, rules=RULES)
def test_whatever_comes_in_whatever_order_each_request_ends_in_one_run_and_no_rule_is_broken(
    moves: list[tuple[str, float, float]], rules: Retraining
) -> None:
    state, clock, numbers = NONE, START, count()
    runs: dict[str, list[str]] = {}  # the requests of each retraining
    begun: list[tuple[datetime, float, str]] = []
    held: dict[str, datetime] = {}
    for move, days, hours in [*moves, ("fire", 1.0, 0.0)]:
        clock += timedelta(days=abs(days) / 10)
        if move == "request":
            request = _request(next(numbers))
            before = state.pending
            taken = take(state, [request], rules, clock + timedelta(days=min(days, 0)), hours)
            state = taken.state
            assert taken.is_new == (before is None)
            runs.setdefault(taken.run.run_id, []).append(request.id)
            if taken.is_new:
                held[taken.run.run_id] = datetime.fromisoformat(taken.run.run_after)
                _allowed(begun, held[taken.run.run_id], hours, rules)
        elif move == "look":
            state = look(state, clock + timedelta(days=min(days, 0)))
        elif move == "fire" and state.pending:
            run_id = state.pending.run_id
            assert len(runs[run_id]) == state.pending.num_requests
            clock = max(clock, held[run_id])
            state = begin_run(state, run_id, clock, hours)
            begun.append((clock, hours, run_id))
            assert state.pending is None
        elif move == "person" and state.pending is None:
            state = begin_run(state, f"manual__{next(numbers)}", clock, hours)
            begun.append((clock, hours, "a person's"))
    assert state.num_requests == sum(len(requests) for requests in runs.values())
    assert {run_id for _, _, run_id in begun} - {"a person's"} == runs.keys()
    assert len({request for requests in runs.values() for request in requests}) == state.num_requests


def _allowed(begun: list[tuple[datetime, float, str]], start: datetime, hours: float, rules: Retraining) -> None:
    if not begun:
        return
    assert start >= begun[-1][0] + timedelta(days=rules.cooldown_days)
    week = [(moment, spent) for moment, spent, _ in begun if moment > start - timedelta(days=7)]
    assert len(week) < rules.weekly_runs
    if rules.weekly_gpu_hours is not None and week:
        assert sum(spent for _, spent in week) + hours <= rules.weekly_gpu_hours


@settings(max_examples=100, deadline=None)
@given(days=st.permutations([0.0, 1.0, 2.5, 4.0, -3.0, 10.0]), cooldown=st.sampled_from([0.0, 3.0, 30.0]))
def test_the_order_in_which_requests_come_changes_neither_how_many_runs_there_are_nor_what_they_learn_from(
    days: list[float], cooldown: float
) -> None:
    state = begin_run(NONE, "before", START, 0)
    for number, day in enumerate(days):
        state = take(state, [_request(number)], Retraining(cooldown_days=cooldown), _after(day), 0).state
    assert state.pending is not None
    assert (state.pending.num_requests, state.pending.as_of) == (6, text_of(_after(10)))
