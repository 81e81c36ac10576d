"""What a person looks at after an evaluation: answers side by side, and paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.gates.pictures.intervals import draw_differences
from pipelines.gates.pictures.style import save
from pipelines.llm.evaluation.answers import ANSWER
from pipelines.llm.evaluation.holdout import HeldOut
from pipelines.llm.evaluation.models import Scored
from pipelines.records import Evaluation
from pipelines.spec.gates import Gates

PAGE = "answers.md"
_LONGEST = 1200  # characters of a question or an answer


def draw(evaluation: Evaluation, gates: Gates, page: str, folder: Path) -> Iterator[Path]:
    """Write the page of answers and a picture for each model that the challenger is compared with; yield the files."""
    path = folder / PAGE
    path.write_text(page, encoding="utf-8")
    yield path
    for other, differences in (("base", evaluation.base_differences), ("champion", evaluation.differences)):
        if differences:
            yield save(draw_differences(differences, gates, other), folder, f"challenger_against_{other}")


def answers_page(scored: Scored, items: Sequence[HeldOut], num_answers: int) -> str:
    """Return Markdown of held-out questions with the answers of every model beneath one another."""
    models = {"base": scored.base, "challenger": scored.challenger, "champion": scored.champion}
    texts = {
        name: {score.item: score.text or "" for score in scores if score.measure == ANSWER}
        for name, scores in models.items()
        if scores is not None
    }
    shown = [item for item in items if item.name in texts["challenger"]][:num_answers]
    parts = [_answers(item, {name: found.get(item.name, "") for name, found in texts.items()}) for item in shown]
    return "# Answers to held-out questions\n\n" + ("\n".join(parts) or "None were asked for.\n")


def _answers(item: HeldOut, answers: dict[str, str]) -> str:
    *before, last = item.conversation.messages
    question = "\n\n".join(message.content for message in before if message.role != "system")
    blocks = [
        f"**{name}**\n\n{_quoted(text)}\n" for name, text in [("held-out answer", last.content), *answers.items()]
    ]
    whole = [] if _one_line(question) == question else [_quoted(question), ""]
    return "\n".join([f"## {_one_line(question)}\n", *whole, *blocks])


def _quoted(text: str) -> str:
    """Return a text as a block of code, which no Markdown in it can leave."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    return "\n".join(f"    {line}" for line in cut.splitlines() or [""])


def _one_line(text: str) -> str:
    line = " ".join(text.split()).replace("#", "\\#")
    return line if len(line) <= 100 else f"{line[:99]}…"
