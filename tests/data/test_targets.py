"""The target's distribution, and what nothing can be learnt from."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.manifests import TargetDistribution
from pipelines.data.profiling import profile_table
from pipelines.data.targets import class_distribution, quantity_distribution, refuse_unlearnable
from pipelines.errors import DataError


def classes(**counts: int) -> TargetDistribution:
    return TargetDistribution(column="y", classes=counts)


def test_classes_are_counted_over_all_files_by_their_text(tmp_path) -> None:
    columns = [pa.array([True, False, True]), pa.array(["true", "x"]).dictionary_encode()]
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, column in zip(paths, columns, strict=True):
        pq.write_table(pa.table({"y": column}), path)
    assert class_distribution(paths, "y").classes == {"false": 1, "true": 3, "x": 1}


def test_a_target_with_a_thousand_classes_and_more_is_a_quantity(tmp_path) -> None:
    pq.write_table(pa.table({"y": range(1001)}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="more than 1000 classes"):
        class_distribution([tmp_path / "a.parquet"], "y")


def test_a_quantity_has_extremes_mean_and_quantiles() -> None:
    found = quantity_distribution(profile_table(pa.table({"y": [0.0, 1.0, 2.0, 9.0]})), "y").quantity
    assert found == {"minimum": 0, "mean": 3, "maximum": 9, "p05": 0, "median": 1, "p95": 9}


@pytest.mark.parametrize("values", [["a", "b"], [None, None], [True, False]])
def test_a_regression_needs_numbers(values: list) -> None:
    with pytest.raises(DataError, match="a regression needs numbers"):
        quantity_distribution(profile_table(pa.table({"y": values})), "y")


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_one_class_only_teaches_nothing(task) -> None:
    with pytest.raises(DataError, match=r"one class only in the training rows, \{'a': 5\}; at least 2 are needed"):
        refuse_unlearnable(task, classes(a=5), classes(a=1, b=1))


def test_a_binary_target_has_two_classes_on_both_sides_together() -> None:
    with pytest.raises(DataError, match=r"has 3 classes, \['a', 'b', 'c'\]; the task 'binary' needs 2"):
        refuse_unlearnable("binary", classes(a=5, b=5), classes(c=1))
    refuse_unlearnable("binary", classes(a=5, b=5), classes(a=1))
    refuse_unlearnable("multiclass", classes(a=5, b=5), classes(c=1))


def test_a_constant_quantity_teaches_nothing() -> None:
    constant = TargetDistribution(column="y", quantity={"minimum": 3, "mean": 3, "maximum": 3})
    with pytest.raises(DataError, match="is 3 in every training row"):
        refuse_unlearnable("regression", constant, constant)
