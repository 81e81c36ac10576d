from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import IntegrityError, RegistryError, ScoringRefused, UsageError
from pipelines.records import Appointed, WindowRequest
from pipelines.registry.ledger import champion_entry, read_ledger
from pipelines.registry.versions import VERDICT_TAG, get_version, set_verdict
from pipelines.steps.appoint import appoint
from pipelines.steps.context import Context
from pipelines.steps.headlines import headline
from pipelines.steps.promote import promote
from pipelines.steps.roll_back import roll_back
from pipelines.store.verified import write_record

REQUEST = WindowRequest(as_of="2013-05-01T02:00:00+02:00")


def with_canary(context: Context, share: float = 0.5) -> Context:
    scoring = context.spec.scoring.model_copy(update={"canary_share": share})
    return Context(context.spec.model_copy(update={"scoring": scoring}), context.environment, context.store)


def _without_mlflow(context: Context, folder: Path) -> Context:
    (folder / "file").write_text("no folder")
    gone = context.environment.mlflow.model_copy(update={"tracking_uri": f"sqlite:///{folder}/file/x.db"})
    return Context(context.spec, context.environment.model_copy(update={"mlflow": gone}), context.store)


def test_where_nobody_serves_scoring_is_refused(champions: Callable[[int], Any]) -> None:
    with pytest.raises(ScoringRefused, match=r"no version serves yet.*tandem run tiny"):
        appoint(champions(0).context, REQUEST)


def test_the_champion_of_the_ledger_answers_and_the_moment_is_the_requests(champions: Callable[[int], Any]) -> None:
    context = champions(2).context
    entry = champion_entry(read_ledger(context.store, "tiny"))
    appointed = appoint(context, REQUEST)
    assert (appointed.champion.version, appointed.champion.ledger_sha256) == (2, entry.sha256)
    assert appointed.requested_at == "2013-05-01T00:00:00+00:00"
    assert appointed.canary is None
    assert appoint(context, REQUEST) == appointed
    assert Appointed.from_dict(appointed.to_dict()) == appointed
    assert headline(appointed) == "version 2 answers"


def test_without_a_share_for_a_challenger_mlflow_is_not_asked(champions: Callable[[int], Any], tmp_path: Path) -> None:
    context = _without_mlflow(champions(1).context, tmp_path)
    assert appoint(context, REQUEST).champion.version == 1
    with pytest.raises(RegistryError):
        appoint(with_canary(context), REQUEST)


def test_the_newest_challenger_answers_a_share(champions: Callable[[int], Any]) -> None:
    workshop = champions(1)
    appointed = appoint(with_canary(workshop.context, 0.25), REQUEST)
    assert appointed.canary is not None
    assert (appointed.canary.version, appointed.canary.ledger_sha256) == (2, None)
    assert appointed.canary.candidate_key == workshop.waiting[0].judged.candidate_key
    assert headline(appointed) == "version 1 answers; version 2 beside it on 0.25"


def test_a_version_that_served_and_one_that_was_passed_over_are_no_challengers(champions: Callable[[int], Any]) -> None:
    workshop = champions(2)
    promote(workshop.context, workshop.waiting[0], "ada")
    roll_back(workshop.context, to=1, reason="late", by="ada")
    appointed = appoint(with_canary(workshop.context), REQUEST)
    assert (appointed.champion.version, appointed.canary) == (1, None)


def test_a_version_whose_newest_verdict_is_reject_is_no_challenger(champions: Callable[[int], Any]) -> None:
    workshop = champions(1)
    context = with_canary(workshop.context)
    waiting = workshop.waiting[0].judged
    from pipelines.registry.evidence import read_evidence

    verdict = read_evidence(context.store, waiting).verdict
    rejected = verdict.model_copy(update={"outcome": "reject"})
    write_record(context.store, "tiny/verdicts", rejected)
    set_verdict(context.environment, get_version(context.environment, "tiny", 2), rejected.sha256)
    assert appoint(context, REQUEST).canary is None
    held = verdict.model_copy(update={"outcome": "hold"})
    write_record(context.store, "tiny/verdicts", held)
    set_verdict(context.environment, get_version(context.environment, "tiny", 2), held.sha256)
    assert appoint(context, REQUEST).canary is not None


def test_a_version_that_names_the_verdict_on_another_is_refused(champions: Callable[[int], Any]) -> None:
    workshop = champions(1)
    context = with_canary(workshop.context)
    first = get_version(context.environment, "tiny", 1)
    set_verdict(context.environment, get_version(context.environment, "tiny", 2), first.tags[VERDICT_TAG])
    with pytest.raises(IntegrityError, match="its verdict is on"):
        appoint(context, REQUEST)


def test_an_altered_ledger_stops_the_run(champions: Callable[[int], Any]) -> None:
    context = champions(1).context
    key = "tiny/ledger/00000001.json"
    context.store.write(key, context.store.read(key).replace(b"ada", b"eve"))
    with pytest.raises(IntegrityError, match="was altered"):
        appoint(context, REQUEST)


def test_a_champion_whose_record_is_gone_is_named(champions: Callable[[int], Any]) -> None:
    context = champions(1).context
    context.store.delete(read_ledger(context.store, "tiny")[0].candidate_key)
    with pytest.raises(IntegrityError, match=r"champion version 1 .*is not whole.*Nothing was scored"):
        appoint(context, REQUEST)


def test_a_moment_that_is_none_is_refused(champions: Callable[[int], Any]) -> None:
    with pytest.raises(UsageError, match="'soon'"):
        appoint(champions(1).context, WindowRequest(as_of="soon"))
