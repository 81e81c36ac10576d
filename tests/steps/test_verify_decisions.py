from __future__ import annotations

import re

import pytest

from pipelines.registry.decisions import decision_key, last_decision, read_decisions, request_key
from pipelines.registry.sealed import seal
from pipelines.steps.context import Context
from pipelines.steps.request import request
from pipelines.steps.verify_decisions import verify_decisions
from pipelines.store.memory import MemoryStore
from tests.steps.deciding import MODEL, begun, context_of, wish


@pytest.fixture
def context() -> Context:
    """Surroundings in which two requests went into a run, and a third into the next."""
    context = context_of(MemoryStore())
    decided = request(context, wish(1))
    request(context, wish(2))
    begun(context, decided)
    request(context, wish(3))
    return context


def test_sound_decisions_have_no_problems(context: Context) -> None:
    head = last_decision(context.store, MODEL)
    assert head is not None
    assert verify_decisions(context) == {"num_entries": 4, "head_sha256": head.sha256, "problems": []}


def test_no_decisions_are_sound() -> None:
    answer = verify_decisions(context_of(MemoryStore()))
    assert answer == {"num_entries": 0, "head_sha256": None, "problems": []}


@pytest.mark.parametrize("seq", [1, 3, 4])
def test_an_altered_decision_is_the_one_problem(context: Context, seq: int) -> None:
    key = decision_key(MODEL, seq)
    context.store.write(key, context.store.read(key).replace(b'"by":"', b'"by":"not '))
    answer = verify_decisions(context)
    (problem,) = answer["problems"]
    assert f"Decision {key} was altered" in problem
    assert answer["num_entries"] == 3


def test_a_request_that_is_gone_or_says_something_else_is_named_with_its_decision(context: Context) -> None:
    context.store.delete(request_key(MODEL, wish(1).id))
    context.store.write(request_key(MODEL, wish(3).id), wish(4).to_bytes())
    problems = verify_decisions(context)["problems"]
    assert len(problems) == 2
    assert re.match(f"Decision 1: .*{wish(1).id}", problems[0])
    assert re.match(f"Decision 4: .*{wish(3).id}.json was altered", problems[1])


def test_a_request_that_was_decided_twice_is_named(context: Context) -> None:
    head = read_decisions(context.store, MODEL)[-1]
    twice = head.model_copy(update={"seq": 5, "previous_sha256": head.sha256})
    context.store.write(decision_key(MODEL, 5), seal(twice))
    assert verify_decisions(context)["problems"] == [f"Request {wish(3).id} was decided twice, by decisions 4 and 5."]
