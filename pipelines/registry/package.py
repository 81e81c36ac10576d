"""The MLflow model folder of a candidate: the very skops file that was judged, with signature, example and papers."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from pipelines.errors import RegistryError
from pipelines.registry.provenance import requirements
from pipelines.registry.versions import MODEL_FILE

REQUIRED_PACKAGES = ("mlflow", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")
PAPERS_FOLDER = "tandem"


def write_model_folder(
    folder: Path,
    estimator: Any,
    model_file: Path,
    trusted_types: Sequence[str],
    example: pa.Table,
    probabilities: bool,
    papers: Mapping[str, bytes],
    model_id: str,
    run_id: str,
) -> None:
    """Write a folder that MLflow loads as scikit-learn or pyfunc.

    Args:
        folder: A folder that does not exist yet.
        estimator: The fitted model.
        model_file: The skops file it was loaded from; exactly these bytes go into the folder.
        trusted_types: Names of the types, beyond skops' own, that loading it may make.
        example: A few rows of the features, those with missing values among them; the signature is told from it.
        probabilities: Whether a prediction is one probability a class (or else one value).
        papers: More files by name, such as the model card.
        model_id: MLflow's id of the logged model.
        run_id: MLflow's id of the run that trained it.
    """
    frame = example_frame(example)
    mlflow.sklearn.save_model(
        estimator,
        str(folder),
        mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
        serialization_format="skops",
        skops_trusted_types=list(trusted_types),
        signature=ModelSignature(input_schema(example), output_schema(estimator, probabilities)),
        input_example=frame,
        pip_requirements=requirements(*REQUIRED_PACKAGES),
        pyfunc_predict_fn="predict_proba" if probabilities else "predict",
    )
    if not (folder / MODEL_FILE).is_file():
        raise RegistryError(
            f"MLflow wrote no {MODEL_FILE} for run {run_id}: its layout is not the one this code knows."
        )
    shutil.copyfile(model_file, folder / MODEL_FILE)
    (folder / PAPERS_FOLDER).mkdir()
    for name, data in papers.items():
        (folder / PAPERS_FOLDER / name).write_bytes(data)


def example_rows(table: pa.Table, num_rows: int = 5) -> pa.Table:
    """Return the first rows, and for each column with missing values one row more that misses it."""
    chosen = dict.fromkeys(range(min(num_rows, table.num_rows)))
    for column in table.columns:
        missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        if missing.any():
            chosen[int(np.argmax(missing))] = None
    return table.take(list(chosen))


def example_frame(example: pa.Table) -> pd.DataFrame:
    """Return the example as pandas; column names are plain objects, which MLflow compares with numbers."""
    frame = example.to_pandas()
    frame.columns = frame.columns.astype(object)
    return frame


def input_schema(example: pa.Table) -> Schema:
    """Return MLflow's schema of the features; each may be missing.

    Integers of a column that misses some are declared as doubles, as pandas has them: MLflow would refuse them else.
    """
    return Schema([ColSpec(_type_of(example.column(name)), name, required=False) for name in example.column_names])


def output_schema(estimator: Any, probabilities: bool) -> Schema:
    """Return MLflow's schema of a prediction: a tensor (n, classes), or (n,)."""
    shape = (-1, len(estimator.classes_)) if probabilities else (-1,)
    return Schema([TensorSpec(np.dtype("float64"), shape)])


def _type_of(column: pa.ChunkedArray) -> DataType:
    kind = column.type
    if pa.types.is_boolean(kind):
        return DataType.boolean
    if pa.types.is_integer(kind):
        if column.null_count:
            return DataType.double
        return DataType.integer if kind.bit_width < 64 and pa.types.is_signed_integer(kind) else DataType.long
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return DataType.float if kind == pa.float32() else DataType.double
    return DataType.datetime if pa.types.is_temporal(kind) else DataType.string
