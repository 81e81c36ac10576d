from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from pipelines.llm.worker import cross_entropy
from pipelines.llm.worker.cross_entropy import summed_cross_entropy


@pytest.mark.parametrize("rows_at_once", [1, 7, 100])
def test_loss_and_gradient_are_torchs_own(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "_ELEMENTS_AT_ONCE", rows_at_once * 50)
    torch.manual_seed(0)
    weights, targets = torch.randn(30, 50), torch.randint(0, 50, (30,))
    ours, theirs = weights.clone().requires_grad_(), weights.clone().requires_grad_()
    loss = summed_cross_entropy(ours * 2, targets)
    (loss / 3).backward()
    expected = functional.cross_entropy(theirs * 2, targets, reduction="sum")
    (expected / 3).backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)


def test_in_bf16_only_the_gradient_is_rounded() -> None:
    torch.manual_seed(0)
    weights, targets = torch.randn(64, 300, dtype=torch.bfloat16) * 3, torch.randint(0, 300, (64,))
    ours, theirs = weights.clone().requires_grad_(), weights.float().requires_grad_()
    loss = summed_cross_entropy(ours * 1, targets)
    loss.backward()
    expected = functional.cross_entropy(theirs, targets, reduction="sum")
    expected.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert torch.allclose(ours.grad.float(), theirs.grad, rtol=2**-7, atol=1e-6)


def test_without_a_gradient_the_logits_stay() -> None:
    logits = torch.randn(4, 10)
    before = logits.clone()
    with torch.no_grad():
        summed_cross_entropy(logits, torch.tensor([1, 2, 3, 4]))
    assert torch.equal(logits, before)


def test_no_tokens_to_learn_cost_nothing() -> None:
    logits = torch.randn(0, 10, requires_grad=True)
    loss = summed_cross_entropy(logits * 1, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_rows_beyond_the_targets_count_for_nothing() -> None:
    torch.manual_seed(0)
    weights, targets = torch.randn(30, 50), torch.randint(0, 50, (20,))
    ours, theirs = weights.clone().requires_grad_(), weights[:20].clone().requires_grad_()
    loss, expected = summed_cross_entropy(ours * 2, targets), summed_cross_entropy(theirs * 2, targets)
    (loss / 3).backward()
    (expected / 3).backward()
    assert float(loss.detach()) == float(expected.detach())
    assert torch.equal(ours.grad[:20], theirs.grad)
    assert not ours.grad[20:].any()
