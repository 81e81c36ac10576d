from __future__ import annotations

import datetime
import subprocess
import sys

from pipelines.data.quality.library import get_expectation_impl, list_registered_expectation_implementations
from pipelines.data.quality.vocabulary import TYPES_FOR_DATABASES_ONLY, expectation_types


def test_the_vocabulary_is_what_great_expectations_has_registered() -> None:
    assert set(expectation_types()) | TYPES_FOR_DATABASES_ONLY == set(list_registered_expectation_implementations())


def test_every_kwarg_is_a_field_of_the_expectation() -> None:
    for name, kind in expectation_types().items():
        fields = get_expectation_impl(name).__fields__
        assert set(kind.schemas) <= set(fields), name
        assert {field for field, definition in fields.items() if definition.required} <= set(kind.required), name


def test_reading_the_vocabulary_imports_neither_great_expectations_nor_pandas() -> None:
    code = (
        "import sys; from pipelines.data.quality.suite import expectation_problems; "
        "from pipelines.spec.quality import Quality, ExpectationSpec; "
        "expectation_problems(Quality(expectations=(ExpectationSpec(type='expect_x'),))); "
        "print(*{'great_expectations', 'pandas', 'duckdb'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_a_value_is_held_to_the_library_and_not_to_its_web_form() -> None:
    between = expectation_types()["expect_column_values_to_be_between"]
    in_set = expectation_types()["expect_column_values_to_be_in_set"]

    assert between.value_problem("mostly", 0.999) is None
    assert between.value_problem("mostly", 1.5) == "1.5 is greater than the maximum of 1.0"
    assert between.value_problem("min_value", datetime.date(2013, 1, 1)) is None
    assert between.value_problem("min_value", [1]) == "of type number or string"
    assert in_set.value_problem("value_set", ["", True, 3]) is None
    assert in_set.value_problem("value_set", "EWR") == "of type array"
