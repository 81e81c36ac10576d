"""The MLflow model folder of a candidate: the very skops file that was judged, with signature, example and papers."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import skops.io
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType

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
    estimator: Any,
    model_file: Path,
    features: Features,
    probabilities: bool,
    papers: Mapping[str, bytes],
    model: Model,
) -> None:
    """Write a folder that MLflow loads as scikit-learn or as pyfunc, and see that it answers as the estimator does.

    Args:
        folder: A folder that does not exist yet.
        estimator: The fitted model.
        model_file: The skops file it was loaded from; exactly these bytes go into the folder. The types in it are
            trusted, since the caller has loaded it.
        features: What it takes.
        probabilities: Whether it answers one probability a class, or else one value.
        papers: More files by name, such as the model card; they go into the folder `tandem`.
        model: MLflow's description of the model, with the ids of its run and of itself.

    Raises:
        RegistryError: If the folder, loaded again, answers otherwise than the estimator.
    """
    example = _as_declared(features)
    mlflow.sklearn.save_model(
        estimator,
        str(folder),
        mlflow_model=model,
        serialization_format="skops",
        skops_trusted_types=skops.io.get_untrusted_types(file=model_file),
        signature=ModelSignature(input_schema(features), output_schema(estimator, probabilities)),
        input_example=example if all(map(_fits_json, features.example.schema.types)) else None,
        pip_requirements=requirements(*REQUIRED_PACKAGES),
        pyfunc_predict_fn="predict_proba" if probabilities else "predict",
    )
    shutil.copyfile(model_file, folder / MODEL_FILE)
    (folder / PAPERS_FOLDER).mkdir()
    for name, data in papers.items():
        (folder / PAPERS_FOLDER / name).write_bytes(data)
    _check_answers(folder, estimator, example, probabilities)


def input_schema(features: Features) -> Schema:
    """Return MLflow's schema of the features; each may be left out.

    Integers that miss some values are declared as doubles, as pandas has them: MLflow would refuse a batch of them.
    What MLflow has no word for may be anything, and the model itself says what it takes.
    """
    declared = {
        one.name: _declared_type(one.type, one.name in features.with_missing) for one in features.example.schema
    }
    return Schema([ColSpec(_mlflow_type(kind), name, required=False) for name, kind in declared.items()])


def output_schema(estimator: Any, probabilities: bool) -> Schema:
    """Return MLflow's schema of an answer: a tensor (n, classes), or (n,)."""
    shape = (-1, len(estimator.classes_)) if probabilities else (-1,)
    return Schema([TensorSpec(np.dtype("float64"), shape)])


def _check_answers(folder: Path, estimator: Any, example: pd.DataFrame, probabilities: bool) -> None:
    expected = estimator.predict_proba(example) if probabilities else estimator.predict(example)
    found = mlflow.pyfunc.load_model(str(folder)).predict(example)
    if not np.array_equal(np.asarray(found), np.asarray(expected), equal_nan=True):
        raise RegistryError(
            f"The model packed for MLflow answers otherwise than the one that was judged: {found!r}, expected "
            f"{expected!r} on the example rows. Nothing was registered."
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
