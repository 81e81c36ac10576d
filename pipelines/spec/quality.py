"""What good data is, in the vocabulary of Great Expectations."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pipelines.spec.base import Section


class ExpectationSpec(Section):
    """One expectation: `type` and `kwargs` are Great Expectations' own.

    `mostly` inside `kwargs` is the budget of the check: the share of rows that must pass. Rows that fail go to
    quarantine either way. `severity: warning` reports a failure and quarantines nothing.
    """

    type: str = Field(pattern=r"^expect_[a-z0-9_]+$", description="a name such as expect_column_to_exist")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="Great Expectations' own arguments of the type.")
    severity: Literal["critical", "warning"] = Field("critical", description="'warning' reports and never fails.")


class Quality(Section):
    """The expectations of a model's data, and how many bad rows it may have."""

    max_quarantined_share: float = Field(
        0.0, ge=0.0, le=1.0, description="Inclusive budget of the model: quarantined rows over rows in."
    )
    expectations: tuple[ExpectationSpec, ...] = Field((), description="What must be true of the data, in order.")
