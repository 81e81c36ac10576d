from __future__ import annotations

from pipelines.registry.decisions import read_decisions
from pipelines.steps.observe import observe
from pipelines.steps.request import request
from pipelines.store.memory import MemoryStore
from tests.steps.deciding import MODEL, context_of, wish


def test_a_look_that_asks_for_nothing_is_recorded_once() -> None:
    context = context_of(MemoryStore())
    answers = [observe(context, ["all is well"], ["ab12"], "monitor", "2013-05-01") for _ in range(2)]
    assert answers[0] == answers[1]
    assert (answers[0].outcome, answers[0].run_id, answers[0].reasons) == ("none", None, ("all is well",))
    (entry,) = read_decisions(context.store, MODEL)
    assert (entry.action, entry.evidence, entry.as_of) == ("observed", ("ab12",), "2013-05-01T00:00:00+00:00")


def test_other_evidence_another_moment_or_a_refusal_is_another_decision() -> None:
    context = context_of(MemoryStore())
    observe(context, ["too few rows"], ["ab12"], "monitor", "2013-05-01")
    observe(context, ["too few rows"], ["cd34"], "monitor", "2013-05-01")
    observe(context, ["too few rows"], ["cd34"], "monitor", "2013-05-02")
    observe(context, ["too few rows"], ["cd34"], "monitor", "2013-05-02", is_refused=True)
    assert [entry.action for entry in read_decisions(context.store, MODEL)] == ["observed"] * 3 + ["refused"]


def test_a_look_leaves_the_pending_run_as_it_is_and_is_known_after_other_decisions() -> None:
    context = context_of(MemoryStore())
    first = observe(context, ["all is well"], [], "monitor", "2013-05-01")
    decided = request(context, wish(1), "2013-05-02")
    assert observe(context, ["all is well"], [], "monitor", "2013-05-01").entry_seq == first.entry_seq
    observe(context, ["all is well"], [], "monitor", "2013-05-03")
    assert request(context, wish(2)).run_id == decided.run_id
