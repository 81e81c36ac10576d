from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from pipelines.data.sources.python import read_python
from pipelines.errors import DataError, UsageError
from pipelines.records import Window
from pipelines.spec.source import PythonSource

ROWS = pa.table({"x": [1, 2]})


def give_batches(window: Window, repeat: int = 1) -> pa.RecordBatchReader:
    assert window.start == "2013-01-01"
    return pa.RecordBatchReader.from_batches(ROWS.schema, ROWS.to_batches() * repeat)


def give_table(window: Window) -> pa.Table:
    return ROWS


def give_frame(window: Window) -> pd.DataFrame:
    return pd.DataFrame({"x": [1, 2]})


def give_list(window: Window) -> list[int]:
    return [1, 2]


def fail_at_once(window: Window) -> Any:
    raise OSError("the sensor is off")


def fail_later(window: Window) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        yield from ROWS.to_batches()
        raise OSError("the sensor went off")

    return pa.RecordBatchReader.from_batches(ROWS.schema, batches())


def refuse(window: Window) -> Any:
    raise DataError("In its own words.")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call a function of this file by its name, as a spec would."""
    import sys

    module = sys.modules[give_batches.__module__]
    monkeypatch.setitem(sys.modules, "functions_of_a_user", module)

    def read(name: str, **arguments: Any) -> pa.Table:
        source = PythonSource(type="python", callable=f"functions_of_a_user:{name}", arguments=arguments)
        return read_python(source, Window(start="2013-01-01")).read_all()

    return read


def test_the_function_gets_the_window_and_the_specs_arguments(read: Any) -> None:
    assert read("give_batches", repeat=2)["x"].to_pylist() == [1, 2, 1, 2]


@pytest.mark.parametrize("name", ["give_table", "give_frame"])
def test_whatever_speaks_arrow_is_taken(read: Any, name: str) -> None:
    assert read(name)["x"].to_pylist() == [1, 2]


def test_anything_else_is_refused_by_its_type(read: Any) -> None:
    with pytest.raises(DataError, match="functions_of_a_user:give_list gave a list; expected Arrow record batches"):
        read("give_list")


@pytest.mark.parametrize(("name", "words"), [("fail_at_once", "is off"), ("fail_later", "went off")])
def test_an_error_of_the_function_is_a_data_error_that_names_it(read: Any, name: str, words: str) -> None:
    with pytest.raises(DataError, match=f"functions_of_a_user:{name} failed with OSError: the sensor {words}. Nothing"):
        read(name)


def test_an_error_in_our_own_words_passes_unchanged(read: Any) -> None:
    with pytest.raises(DataError, match=r"^In its own words\.$"):
        read("refuse")


@pytest.mark.parametrize("path", ["no_such_module:f", "functions_of_a_user:nothing", "functions_of_a_user:ROWS"])
def test_a_function_that_is_not_there_is_the_specs_mistake(read: Any, path: str) -> None:
    with pytest.raises(UsageError, match=path):
        read_python(PythonSource(type="python", callable=path), Window())
