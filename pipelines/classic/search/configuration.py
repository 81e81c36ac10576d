"""One configuration of the search: what is fitted, said in plain values, and built into scikit-learn objects."""

from __future__ import annotations

import zlib
from typing import Any, Literal

from pydantic import Field
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import QuantileTransformer, SplineTransformer, StandardScaler

from pipelines.classic.estimators.encoding import Encoder, native_categories, num_numbers
from pipelines.classic.estimators.target import ScaledTarget
from pipelines.records import Record

MOST_LEAVES_OF_A_TREE = 4_000  # about: a forest of full trees on many rows fills hundreds of megabytes
FEWEST_TREES, ROWS_OF_ALL_TREES = 100, 22_500_000  # trees that learn from very many rows differ little: fewer do

Family = Literal["boosting", "extra_trees", "random_forest", "linear", "splines", "kernel", "network"]


class Configuration(Record):
    """A named way to fit.

    `style` is the encoder's; `params` are the estimator's own, except `target: log`, which fits the logarithm of a
    positive target, and `scaling: quantile`, which gives each dense column a normal distribution.
    """

    name: str
    family: Family
    style: Literal["native", "target", "dense"]
    params: dict[str, Any] = Field(default_factory=dict)


class Shape(Record):
    """What of the data decides how an estimator is built: the reader's levels and the number of classes (0:
    regression)."""

    levels: tuple[int, ...]
    num_classes: int
    num_rows: int


def seed_of(configuration: Configuration, seed: int) -> int:
    """Return the configuration's own seed: the same in every fold, on every machine."""
    return (seed + zlib.crc32(configuration.name.encode())) % 2**31


def build_encoder(configuration: Configuration, shape: Shape, seed: int) -> Encoder:
    """Return the encoder; it depends on style, fold and seed alone, so that configurations can share its work."""
    return Encoder(list(shape.levels), configuration.style, shape.num_classes, seed)


def build_estimator(configuration: Configuration, shape: Shape, seed: int) -> BaseEstimator:
    """Return what is fitted on encoded rows."""
    params = dict(configuration.params)
    seed = seed_of(configuration, seed)
    classify = shape.num_classes > 0
    if configuration.family in {"extra_trees", "random_forest"}:
        leaf = max(params.get("min_samples_leaf", 1), shape.num_rows // MOST_LEAVES_OF_A_TREE)
        params["min_samples_leaf"] = leaf
        most = max(FEWEST_TREES, ROWS_OF_ALL_TREES // shape.num_rows)
        params["n_estimators"] = min(params.get("n_estimators", most), most)
    match configuration.family:
        case "boosting":
            categories = native_categories(list(shape.levels), configuration.style) or None
            boosting = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
            return boosting(random_state=seed, categorical_features=categories, **params)
        case "extra_trees":
            return (ExtraTreesClassifier if classify else ExtraTreesRegressor)(random_state=seed, **params)
        case "random_forest":
            return (RandomForestClassifier if classify else RandomForestRegressor)(random_state=seed, **params)
    log = params.pop("target", None) == "log"
    dense = _dense(configuration.family, params, shape, seed)
    if classify:
        return dense
    return ScaledTarget(dense, log=log)


def _dense(family: Family, params: dict[str, Any], shape: Shape, seed: int) -> Pipeline:
    classify = shape.num_classes > 0
    steps: list[tuple[str, BaseEstimator]] = []
    if params.pop("scaling", None) == "quantile":
        quantiles = max(10, min(1000, shape.num_rows // 3))
        spread = QuantileTransformer(
            n_quantiles=quantiles, output_distribution="normal", subsample=50_000, random_state=seed
        )
        steps.append(
            (
                "quantiles",
                ColumnTransformer(
                    [("numbers", spread, slice(0, num_numbers(list(shape.levels))))], remainder="passthrough"
                ),
            )
        )
    if family == "splines":
        splines = SplineTransformer(
            n_knots=params.pop("knots", 5), knots="quantile", extrapolation="linear", include_bias=False
        )
        steps.append(
            (
                "splines",
                ColumnTransformer(
                    [("numbers", splines, slice(0, num_numbers(list(shape.levels))))], remainder="passthrough"
                ),
            )
        )
    steps.append(("scale", StandardScaler()))
    if family == "kernel":
        components = min(params.pop("components", 300), shape.num_rows)
        steps.append(("kernel", Nystroem(n_components=components, gamma=params.pop("gamma", None), random_state=seed)))
    if family == "network":
        network = (MLPClassifier if classify else MLPRegressor)(random_state=seed, **params)
        return Pipeline([*steps, ("model", network)])
    strength = params.pop("strength", 1.0)
    linear = LogisticRegression(C=1 / strength, max_iter=300, **params) if classify else Ridge(alpha=strength, **params)
    return Pipeline([*steps, ("model", linear)])
