"""What every record is: frozen, plain JSON, and known by one hash."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any, Self

from pydantic import BaseModel, ConfigDict


def canonical_json(value: Any) -> bytes:
    """Return the one UTF-8 JSON text of `value`: sorted keys, no spaces, no NaN (raises ValueError).

    >>> canonical_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_of(value: Any) -> str:
    """Return the SHA-256, in hex, of bytes as they are, or of anything else as canonical JSON."""
    return hashlib.sha256(value if isinstance(value, bytes) else canonical_json(value)).hexdigest()


def number_or_none(value: float) -> float | None:
    """Return `value`, or None where it is NaN or infinite: JSON knows neither, and unmeasured is not a number."""
    return float(value) if math.isfinite(value) else None


class Record(BaseModel):
    """A frozen record whose identity is the hash of what it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, fit for Airflow's XCom and for the store."""
        return self.model_dump(mode="json")

    def to_bytes(self) -> bytes:
        """Return the canonical JSON text of the record."""
        return canonical_json(self.to_dict())

    @property
    def sha256(self) -> str:
        """The hash of the record's canonical JSON."""
        return sha256_of(self.to_dict())

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """Return the record that `to_dict` wrote."""
        return cls.model_validate(value)


class Sealed(Record):
    """An entry of a model's hash chain: entry `seq`, from 1 on, names the hash of the one before it."""

    seq: int
    previous_sha256: str | None
    model: str
