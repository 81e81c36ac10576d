from __future__ import annotations

import math

import pytest

from pipelines.errors import TrainingDiverged
from pipelines.llm.worker.losses import LossGuard

NOTHING = math.log(512)


def test_a_start_like_the_pretrained_models_is_let_pass() -> None:
    LossGuard(512).check_start(2.5)
    LossGuard(512).check_start(NOTHING)


@pytest.mark.parametrize("loss", [121.0, NOTHING + 1.1, math.nan, math.inf])
def test_a_start_worse_than_knowing_nothing_is_an_error(loss: float) -> None:
    with pytest.raises(TrainingDiverged, match="these are not the pretrained weights"):
        LossGuard(512).check_start(loss)


@pytest.mark.parametrize(
    ("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (2.0, math.nan), (2.0, math.inf), (NOTHING + 2.1, 1.0)]
)
def test_a_loss_gone_wrong_names_the_steps_documents(loss: float, norm: float) -> None:
    with pytest.raises(TrainingDiverged, match=r"Step 7 .* rows 3, 5, 8 of the training side"):
        LossGuard(512).check(7, loss, norm, [3, 5, 8])


def test_of_many_documents_the_first_are_named_and_the_rest_counted() -> None:
    with pytest.raises(TrainingDiverged, match="48, 49 and 150 more"):
        LossGuard(512).check(7, math.nan, 1.0, list(range(200)))


@pytest.mark.parametrize(("loss", "plain"), [(2.31, 2.30), (6.2, 6.1)])
def test_the_same_model_in_another_order_of_sums_is_the_same(loss: float, plain: float) -> None:
    LossGuard(512).check_same(loss, plain)


def test_another_model_under_deepspeed_is_an_error() -> None:
    with pytest.raises(TrainingDiverged, match=r"2\.3000 with the same model alone"):
        LossGuard(512).check_same(2.8, 2.3)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_validation_loss_that_is_no_number_is_an_error(loss: float) -> None:
    LossGuard(512).check_look(4, 6.0)
    with pytest.raises(TrainingDiverged, match="The validation loss after step 4"):
        LossGuard(512).check_look(4, loss)
    with pytest.raises(TrainingDiverged, match="The general loss after step 4"):
        LossGuard(512).check_look(4, loss, "general")
