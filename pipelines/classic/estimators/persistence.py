"""Save a model as skops, never pickle, as bytes that depend on the model alone; load only what is on our own list.

A skops file names the type of everything inside it. Each must be on `TRUSTED_TYPES`, which is exactly what our search
can build, and shorter than what skops itself would accept. Loading is safe only together with the file's hash, which
the caller checks (`pipelines.store.verified`); tree nodes are checked here for indices that point outside, since
scikit-learn follows them blindly.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.pipeline import Pipeline
from sklearn.tree._tree import Tree

from pipelines.classic.estimators.trusted import TRUSTED_LOADERS, TRUSTED_TYPES
from pipelines.errors import IntegrityError

_EPOCH = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the zip format's own beginning of time: a file's bytes must not tell when it was written
_COMPRESSION_LEVEL = 1
_WITHOUT_IDENTITY = frozenset({"JsonNode", "TypeNode", "FunctionNode", "TupleNode", "DTypeNode"})


def save_model(estimator: Pipeline, path: Path) -> None:
    """Write a fitted pipeline as a skops file; the same pipeline gives the same bytes in every process.

    Raises:
        IntegrityError: If it holds a type that could not be loaded again; nothing is written then.
    """
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(estimator))) as written:
        schema = json.loads(written.read("schema.json"))
        _refuse_strangers(schema, str(path), "It was not saved.")
        files = _settle(schema)
        with zipfile.ZipFile(path, "w") as archive:
            for old, new in files.items():
                _add(archive, new, _without_padding(written.read(old)))
            _add(archive, "schema.json", json.dumps(schema, separators=(",", ":")).encode())


def load_model(path: Path) -> Pipeline:
    """Return the pipeline in a skops file.

    Raises:
        IntegrityError: If the file is no skops file, holds a type that is not on our list, or a tree whose nodes point
            outside of it. Nothing of it is used then.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            schema = json.loads(archive.read("schema.json"))
        _refuse_strangers(schema, str(path), "It was not loaded.")
        model = skops.io.load(path, trusted=sorted(TRUSTED_TYPES))
    except IntegrityError:
        raise
    except Exception as error:  # a damaged file can make zip, JSON, numpy and skops raise nearly anything
        raise IntegrityError(f"{path} is no model that this version can read: {error}. It was not loaded.") from error
    if not isinstance(model, Pipeline):
        raise IntegrityError(f"{path} holds a {type(model).__name__}; a model is a Pipeline. It was not loaded.")
    _check_trees(model, path)
    return model


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every node of a schema, parents first, in the order of the file."""
    pending = [value]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            if "__loader__" in current:
                yield current
            pending.extend(reversed(list(current.values())))
        elif isinstance(current, list):
            pending.extend(reversed(current))


def _refuse_strangers(schema: Any, path: str, outcome: str) -> None:
    nodes = list(_nodes(schema))
    found = {f"{node.get('__module__')}.{node.get('__class__')}" for node in nodes if node["__loader__"] != "JsonNode"}
    strange = sorted(found - TRUSTED_TYPES) + sorted({node["__loader__"] for node in nodes} - TRUSTED_LOADERS)
    if strange or not nodes:
        raise IntegrityError(
            f"{path} holds types that are not on the list of trusted types: {', '.join(strange[:5]) or 'none at all'}. "
            f"{outcome}"
        )


def _settle(schema: Any) -> dict[str, str]:
    """Replace memory addresses in the schema by numbers in order of appearance; return new names of files by old ones.

    An identity stays only where an object appears twice, so that it is one object again after loading.
    """
    nodes = list(_nodes(schema))
    seen = Counter(node.get("__id__") for node in nodes if node["__loader__"] not in _WITHOUT_IDENTITY)
    identities: dict[int, int] = {}
    files: dict[str, str] = {}
    for node in nodes:
        identity = node.pop("__id__", None)
        if node["__loader__"] not in _WITHOUT_IDENTITY and seen[identity] > 1:
            node["__id__"] = identities.setdefault(identity, len(identities) + 1)
        if isinstance(node.get("file"), str):
            old = node["file"]
            node["file"] = files.setdefault(old, f"{len(files) + 1}{Path(old).suffix}")
    return files


def _without_padding(data: bytes) -> bytes:
    """Return an array file whose gaps between fields are zero: trees leave there what was in memory before."""
    if b"'descr': [" not in data[:128]:
        return data
    array = np.load(io.BytesIO(data), allow_pickle=False)
    settled = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names or ():
        settled[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, settled, allow_pickle=False)
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data, compresslevel=_COMPRESSION_LEVEL)


def _check_trees(model: Pipeline, path: Path) -> None:
    last = model.steps[-1][1]
    for estimator in [member.steps[-1][1] for member in getattr(last, "members", None) or []] or [last]:
        num_features = int(getattr(estimator, "n_features_in_", 0))
        trees = [tree for stage in getattr(estimator, "_predictors", ()) for tree in stage]
        trees += [tree.tree_ for tree in getattr(estimator, "estimators_", ())]
        if not all(_points_inside(tree, num_features) for tree in trees):
            raise IntegrityError(f"{path} holds a tree whose nodes point outside of it. It was not loaded.")


def _points_inside(tree: TreePredictor | Tree, num_features: int) -> bool:
    if isinstance(tree, TreePredictor):
        nodes = tree.nodes
        count, place = len(nodes), np.flatnonzero(nodes["is_leaf"] == 0)
        inner = nodes[place]
        left, right, feature = inner["left"], inner["right"], inner["feature_idx"]
        if (inner["bitset_idx"][inner["is_categorical"] == 1] >= len(tree.raw_left_cat_bitsets)).any():
            return False
    else:
        count, place = tree.node_count, np.flatnonzero(tree.children_left != -1)
        left, right, feature = tree.children_left[place], tree.children_right[place], tree.feature[place]
    # A child stands after its parent, so that every walk ends.
    inside = (left > place) & (right > place) & (left < count) & (right < count)
    return count > 0 and bool(inside.all() and ((feature >= 0) & (feature < num_features)).all())
