from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from pipelines.llm.sequences import IGNORED
from pipelines.llm.worker.loss import LOGIT_ROWS, AnswerLoss
from pipelines.llm.worker.model import load_pretrained

DOCUMENTS = [list(range(10, 30)), [7], list(range(200, 212)), list(range(50, 81))]


@pytest.fixture(scope="module")
def plain(tiny_model: Path) -> torch.nn.Module:
    return load_pretrained(tiny_model, torch.float32).eval()


def _batch(documents: list[list[int]], length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids, positions and labels of one row; a third of each document is its prompt."""
    ids, positions, labels = list[int](), list[int](), list[int]()
    for document in documents:
        prompt = max(1, len(document) // 3)
        ids += document
        positions += range(len(document))
        labels += [IGNORED] * prompt + document[prompt:]
    rest = length - len(ids)
    return (
        torch.tensor([ids + [2] * rest]),
        torch.tensor([positions + list(range(rest))]),
        torch.tensor([labels + [IGNORED] * rest]),
    )


def test_a_document_costs_the_same_alone_and_packed_with_others(plain: torch.nn.Module) -> None:
    model = AnswerLoss(plain)
    with torch.no_grad():
        alone = [float(model(*_batch([document], len(document) + 1))) for document in DOCUMENTS]
        packed = float(model(*_batch(DOCUMENTS, 80)))
        one_after_the_other = torch.arange(80)[None]
        seen = float(model(_batch(DOCUMENTS, 80)[0], one_after_the_other, _batch(DOCUMENTS, 80)[2]))
    assert packed == pytest.approx(sum(alone), rel=1e-5)
    assert abs(seen - packed) > 1e-3, "the test could not tell documents that see each other"


def test_each_documents_gradient_is_its_own(plain: torch.nn.Module) -> None:
    model = AnswerLoss(plain)
    ids, positions, labels = _batch(DOCUMENTS, 80)
    only_last = labels.clone()
    only_last[0, : sum(len(document) for document in DOCUMENTS[:-1])] = IGNORED
    embedded = plain.get_input_embeddings().weight
    (gradient,) = torch.autograd.grad(model(ids, positions, only_last), embedded)
    model(*_batch(DOCUMENTS[-1:], 80))
    (alone,) = torch.autograd.grad(model(*_batch(DOCUMENTS[-1:], 80)), embedded)
    assert torch.allclose(gradient, alone, atol=1e-5)


def test_the_loss_is_that_of_plain_transformers(plain: torch.nn.Module) -> None:
    ids, positions, labels = _batch(DOCUMENTS[:1], 20)
    with torch.no_grad():
        ours = float(AnswerLoss(plain)(ids, positions, labels))
        logits = plain(input_ids=ids).logits[0, :-1]
    theirs = functional.cross_entropy(logits, labels[0, 1:], ignore_index=IGNORED, reduction="sum")
    assert ours == pytest.approx(float(theirs), rel=1e-5)


def test_a_batch_with_no_answer_costs_nothing_and_can_be_learnt_from(plain: torch.nn.Module) -> None:
    ids, positions, labels = _batch(DOCUMENTS, 80)
    loss = AnswerLoss(plain)(ids, positions, torch.full_like(labels, IGNORED))
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_batches_of_different_answers_make_logits_of_one_size(plain: torch.nn.Module) -> None:
    sizes = set[int]()
    model = AnswerLoss(plain)
    hook = plain.get_output_embeddings().register_forward_hook(lambda *given: sizes.add(len(given[2])))
    with torch.no_grad():
        for documents in (DOCUMENTS, DOCUMENTS[:1], DOCUMENTS[2:]):
            model(*_batch(documents, 80))
    hook.remove()
    assert sizes == {LOGIT_ROWS}
