from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import UsageError
from pipelines.monitoring.events import read_json
from pipelines.records import canonical_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"model=flight_delay", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "32 levels"),
        (b"[" * 33 + b"]" * 33, "32 levels"),
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b"[NaN]", "NaN"),
        (b"[1e400]", "too large"),
        (b"[" + b"1" * 5000 + b"]", "not JSON"),
        (b'["\\ud800"]', "half a character"),
        (b'{"\\udc00": 1}', "half a character"),
    ],
)
def test_what_json_does_not_know_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(UsageError, match="Nothing was done") as refused:
        read_json(text)
    assert said in str(refused.value)


def test_what_is_nested_as_deep_as_allowed_is_read() -> None:
    assert canonical_json(read_json(b"[" * 31 + b"]" * 31)) == b"[" * 31 + b"]" * 31


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")))
def test_whatever_is_read_has_a_hash(text: bytes) -> None:
    try:
        value = read_json(text)
    except UsageError:
        return
    canonical_json(value)
