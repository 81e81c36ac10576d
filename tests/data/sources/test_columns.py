from __future__ import annotations

import pytest

from pipelines.data.sources.columns import check_columns
from pipelines.errors import DataError


def test_columns_beyond_the_required_ones_are_fine() -> None:
    check_columns(["carrier", "origin", "note", "", ""], ["origin"], "a.csv")


def test_a_missing_column_offers_the_nearest_name_that_was_found() -> None:
    with pytest.raises(
        DataError, match=r"a\.csv: 'origin' is missing \(is it 'Orign'\?\).*Found the columns 'Orign', 'x'"
    ):
        check_columns(["Orign", "x"], ["origin"], "a.csv")


def test_a_column_that_nothing_resembles_is_missing_without_a_guess() -> None:
    with pytest.raises(DataError, match=r"'origin' is missing; 'late' is missing\. Found"):
        check_columns(["x"], ["origin", "late"], "a.csv")


def test_a_name_that_stands_twice_is_refused_whatever_its_case() -> None:
    with pytest.raises(DataError, match="2 columns whose names are the same but for case: 'late', 'Late'"):
        check_columns(["late", "x", "Late"], ["x"], "a.csv")
