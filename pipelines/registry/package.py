"""The MLflow model folder of a candidate: the very skops file that was judged, with signature, example and papers."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import skops.io
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType
from sklearn.dummy import DummyClassifier, DummyRegressor

from pipelines.errors import RegistryError
from pipelines.registry.provenance import requirements
from pipelines.registry.versions import MODEL_FILE, PAPERS_FOLDER

with warnings.catch_warnings():
    warnings.filterwarnings(
        "ignore", ".*Any type hint is inferred as AnyType", UserWarning
    )  # MLflow, of its own classes
    import mlflow.pyfunc
    import mlflow.sklearn

REQUIRED_PACKAGES = ("mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")


@dataclass(frozen=True)
class Features:
    """What a model takes: a few example rows, and which columns miss values anywhere in the training data."""

    example: pa.Table
    with_missing: frozenset[str]


def write_model_folder(
    folder: Path,
    model_file: Path,
    load: Callable[[Path], Any],
    features: Features,
    probabilities: bool,
    papers: Mapping[str, bytes],
    model: Model,
) -> None:
    """Write a folder that MLflow loads as scikit-learn or as pyfunc, and see that it answers as the model file does.

    One model is in memory at a time, and the file is copied as it is: a forest may be a gigabyte.

    Args:
        folder: A folder that does not exist yet.
        model_file: The skops file that was judged; exactly these bytes go into the folder.
        load: The caller's way to load a model file; the types in what it accepts are trusted.
        features: What the model takes.
        probabilities: Whether it answers one probability a class, or else one value.
        papers: More files by name, such as the model card; they go into the folder `tandem`.
        model: MLflow's description of the model, with the ids of its run and of itself.

    Raises:
        RegistryError: If MLflow, loading the folder, answers otherwise than the model file.
    """
    example = _as_declared(features)
    expected = _answer(load(model_file), example, probabilities)
    mlflow.sklearn.save_model(
        # MLflow would write the estimator anew, in other bytes; this one holds its place until the judged file does.
        DummyClassifier() if probabilities else DummyRegressor(),
        str(folder),
        mlflow_model=model,
        serialization_format="skops",
        skops_trusted_types=skops.io.get_untrusted_types(file=model_file),
        signature=ModelSignature(input_schema(features), output_schema(expected)),
        input_example=example if all(map(_fits_json, features.example.schema.types)) else None,
        pip_requirements=requirements(*REQUIRED_PACKAGES),
        pyfunc_predict_fn="predict_proba" if probabilities else "predict",
    )
    shutil.copyfile(model_file, folder / MODEL_FILE)
    (folder / PAPERS_FOLDER).mkdir()
    for name, data in papers.items():
        (folder / PAPERS_FOLDER / name).write_bytes(data)
    model.model_size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    model.save(str(folder / MLMODEL_FILE_NAME))
    _check_answers(folder, example, expected)


def input_schema(features: Features) -> Schema:
    """Return MLflow's schema of the features; each may be left out.

    Integers that miss some values are declared as doubles, as pandas has them: MLflow would refuse a batch of them.
    What MLflow has no word for may be anything, and the model itself says what it takes.
    """
    declared = {
        one.name: _declared_type(one.type, one.name in features.with_missing) for one in features.example.schema
    }
    return Schema([ColSpec(_mlflow_type(kind), name, required=False) for name, kind in declared.items()])


def output_schema(answers: np.ndarray) -> Schema:
    """Return MLflow's schema of answers like these: a tensor (n, classes), or (n,)."""
    return Schema([TensorSpec(np.dtype("float64"), (-1, *answers.shape[1:]))])


def _answer(estimator: Any, example: pd.DataFrame, probabilities: bool) -> np.ndarray:
    return np.asarray(estimator.predict_proba(example) if probabilities else estimator.predict(example))


def _check_answers(folder: Path, example: pd.DataFrame, expected: np.ndarray) -> None:
    found = np.asarray(mlflow.pyfunc.load_model(str(folder)).predict(example))
    if not np.array_equal(found, expected, equal_nan=True):
        raise RegistryError(
            f"The model packed for MLflow answers otherwise than the one that was judged: {found.tolist()}, expected "
            f"{expected.tolist()} on the example rows. Nothing was registered."
        )


def _fits_json(kind: pa.DataType) -> bool:
    """Tell whether MLflow can write an example of a type and read the same again."""
    has_zone = pa.types.is_timestamp(kind) and kind.tz is not None
    return not (has_zone or pa.types.is_time(kind) or pa.types.is_duration(kind))


def _as_declared(features: Features) -> pd.DataFrame:
    """Return the example rows as a frame of the types that the schema declares."""
    table = features.example
    for index, field in enumerate(table.schema):
        declared = _declared_type(field.type, field.name in features.with_missing)
        if declared is not None:
            table = table.set_column(index, field.name, table.column(index).cast(declared))
    frame: pd.DataFrame = table.to_pandas()
    frame.columns = frame.columns.astype(object)  # MLflow compares the names with numbers
    return frame


def _declared_type(kind: pa.DataType, misses_values: bool) -> pa.DataType | None:
    """Return the Arrow type in which a feature is declared, None where MLflow has no word for it."""
    types = pa.types
    if types.is_dictionary(kind):
        return _declared_type(kind.value_type, misses_values)
    if types.is_integer(kind):
        return pa.float64() if misses_values or kind == pa.uint64() else pa.int64()
    if types.is_floating(kind) or types.is_decimal(kind):
        return pa.float64()
    if types.is_date(kind) or (types.is_timestamp(kind) and kind.tz is None):
        return pa.timestamp("us")
    if types.is_boolean(kind) and not misses_values:
        return pa.bool_()
    return pa.string() if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) else None


def _mlflow_type(declared: pa.DataType | None) -> DataType | AnyType:
    words = {
        pa.int64(): DataType.long,
        pa.float64(): DataType.double,
        pa.timestamp("us"): DataType.datetime,
        pa.bool_(): DataType.boolean,
        pa.string(): DataType.string,
    }
    return AnyType() if declared is None else words[declared]
