"""Import Great Expectations, which takes seconds: with its telemetry off and its own deprecations unheard.

Import this module, or one that does, only inside a function that needs it.
"""

from __future__ import annotations

import logging
import os
import warnings

logging.getLogger("great_expectations").setLevel(logging.CRITICAL)  # what crashes stands in its results, and is read
os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read once, at import

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports modules that Python 3.11 calls deprecated
    from great_expectations.compatibility.pydantic import ValidationError
    from great_expectations.exceptions import GreatExpectationsError, MetricResolutionError
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import Expectation
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )
    from great_expectations.validator.metric_configuration import MetricConfiguration
    from great_expectations.validator.metrics_calculator import MetricsCalculator
    from great_expectations.validator.validator import Validator

__all__ = [
    "Expectation",
    "GreatExpectationsError",
    "MetricConfiguration",
    "MetricResolutionError",
    "MetricsCalculator",
    "PandasExecutionEngine",
    "ValidationError",
    "Validator",
    "get_expectation_impl",
    "list_registered_expectation_implementations",
]
