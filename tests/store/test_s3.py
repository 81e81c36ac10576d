from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from pipelines.errors import IntegrityError, ObjectChanged, ObjectExists, ObjectMissing, StoreError
from pipelines.spec.environment import StoreSettings
from pipelines.store import Store
from pipelines.store.s3 import S3Store

MIB = 1024 * 1024


def error_answer(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


LOST = b""
CONFLICT = error_answer("409 Conflict", "ConditionalRequestConflict")
BUSY = error_answer("503 Service Unavailable", "SlowDown")
UPLOAD_GONE = error_answer("404 Not Found", "NoSuchUpload")


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(18 * MIB))
    return path


def every_call(store: Store, local: Path) -> list[Callable[[], object]]:
    local.write_bytes(b"local")
    return [
        lambda: store.read("model/one"),
        lambda: store.open("model/one"),
        lambda: store.stat("model/one"),
        lambda: list(store.list("model/one")),
        lambda: store.fetch("model/one").__enter__(),
        lambda: store.write("model/one", b"2"),
        lambda: store.put_if_absent("model/one", b"2"),
        lambda: store.compare_and_swap("model/one", b"2", '"tag"'),
        lambda: store.upload("model/one", local),
        lambda: store.delete("model/one"),
    ]


def unfinished_uploads(settings: StoreSettings) -> list[str]:
    client = boto3.client("s3", endpoint_url=settings.s3_endpoint_url, region_name="us-east-1")
    try:
        return [upload["Key"] for upload in client.list_multipart_uploads(Bucket="tandem").get("Uploads", [])]
    finally:
        client.close()


def in_bucket(store: S3Store, key: str) -> str:
    return f"{store.root.removeprefix('s3://tandem/')}/{key}"


def test_a_wrong_secret_is_told_by_every_method(
    s3_settings: StoreSettings, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_store.write("model/one", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    stranger = S3Store("tandem", in_bucket(s3_store, "")[:-1], s3_settings.s3_endpoint_url)
    for call in every_call(stranger, tmp_path / "local"):
        with pytest.raises(StoreError, match="refuses these credentials") as caught:
            call()
        for part in (
            s3_settings.s3_endpoint_url,
            "'tandem'",
            "'model/one'",
            "HTTP 403",
            "AWS_SECRET_ACCESS_KEY",
            "Nothing was read",
        ):
            assert part in str(caught.value)
        assert "wrong" not in str(caught.value)
    assert s3_store.read("model/one") == b"1"


def test_a_missing_bucket_is_told_by_every_method(s3_settings: StoreSettings, tmp_path: Path) -> None:
    store = S3Store("no-such-bucket", "", s3_settings.s3_endpoint_url)
    for call in every_call(store, tmp_path / "local"):
        with pytest.raises(StoreError, match="has no bucket 'no-such-bucket'") as caught:
            call()
        assert s3_settings.s3_endpoint_url in str(caught.value)
        assert type(caught.value) is StoreError


def test_a_server_that_is_gone_is_told_soon(wired_store: S3Store, wire, tmp_path: Path) -> None:
    wire.cut()
    for call in (lambda: wired_store.read("model/one"), lambda: wired_store.write("model/one", b"1")):
        start = time.monotonic()
        with pytest.raises(StoreError, match="does not answer as it should") as caught:
            call()
        assert time.monotonic() - start < 10
        for part in (wire.endpoint_url, "'tandem'", "'model/one'"):
            assert part in str(caught.value)


def test_without_credentials_in_the_environment_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with pytest.raises(StoreError, match="set AWS_ACCESS_KEY_ID"):
        S3Store("tandem", "", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half a pair")
    with pytest.raises(StoreError, match="Partial credentials"):
        S3Store("tandem", "", "http://127.0.0.1:9")


def test_an_endpoint_that_is_no_url_is_refused(s3_settings: StoreSettings) -> None:
    with pytest.raises(StoreError, match="not a url"):
        S3Store("tandem", "", "not a url")


def test_a_large_file_goes_in_parts_and_its_parts_are_gone(
    s3_store: S3Store, s3_settings: StoreSettings, large_file: Path
) -> None:
    info = s3_store.upload("model/large", large_file)
    assert info.tag.endswith('-4"')  # S3's mark of an object in four parts
    assert s3_store.read("model/large") == large_file.read_bytes()
    assert in_bucket(s3_store, "model/large") not in unfinished_uploads(s3_settings)


def test_a_server_gone_in_the_middle_of_an_upload_leaves_the_old_object(
    s3_store: S3Store, wired_store: S3Store, wire, large_file: Path
) -> None:
    before = s3_store.write("model/large", b"old")
    wire.after_bytes = (8 * MIB, wire.cut)
    with pytest.raises(StoreError, match="does not answer as it should") as caught:
        wired_store.upload("model/large", large_file)
    for part in (wire.endpoint_url, "'model/large'", "as it was"):
        assert part in str(caught.value)
    assert wire.bytes_sent > 8 * MIB
    assert list(s3_store.list()) == [before]
    assert s3_store.read("model/large") == b"old"


def test_parts_that_a_dead_upload_left_are_thrown_away_by_the_next(
    s3_store: S3Store, s3_settings: StoreSettings, wired_store: S3Store, wire, large_file: Path
) -> None:
    wire.after_bytes = (8 * MIB, wire.cut)
    with pytest.raises(StoreError):
        wired_store.upload("model/large", large_file)
    key = in_bucket(s3_store, "model/large")
    assert key in unfinished_uploads(s3_settings)

    s3_store.upload("model/another", large_file)  # an upload may take a day
    assert key in unfinished_uploads(s3_settings)
    prefix = key.removesuffix("/model/large")
    later = S3Store(
        "tandem", prefix, s3_settings.s3_endpoint_url, part_bytes=5 * MIB, dead_after=timedelta(seconds=-60)
    )
    later.upload("model/another", large_file)
    assert key not in unfinished_uploads(s3_settings)


def test_an_upload_that_fails_while_the_server_answers_leaves_no_parts(
    s3_store: S3Store, s3_settings: StoreSettings, wired_store: S3Store, wire, tmp_path: Path
) -> None:
    shrinking = tmp_path / "shrinking"
    shrinking.write_bytes(bytes(40 * MIB))  # eight parts, four at a time
    wire.after_bytes = (MIB, lambda: os.truncate(shrinking, 20 * MIB))
    with pytest.raises(StoreError, match="became shorter during its upload"):
        wired_store.upload("model/large", shrinking)
    assert list(s3_store.list()) == []
    assert in_bucket(s3_store, "model/large") not in unfinished_uploads(s3_settings)


@pytest.mark.parametrize("answer", [LOST, CONFLICT, BUSY])
def test_a_first_put_whose_answer_is_lost_still_wins(s3_store: S3Store, wired_store: S3Store, wire, answer) -> None:
    wire.answer_instead = (b"PUT ", answer)
    info = wired_store.put_if_absent("ledger/1", b"mine")
    assert wire.answer_instead is None
    assert info == s3_store.stat("ledger/1")
    with pytest.raises(ObjectExists):
        wired_store.put_if_absent("ledger/1", b"mine")


@pytest.mark.parametrize("answer", [LOST, CONFLICT, BUSY])
def test_a_swap_whose_answer_is_lost_still_wins(s3_store: S3Store, wired_store: S3Store, wire, answer) -> None:
    before = s3_store.write("model/current", b"old")
    wire.answer_instead = (b"PUT ", answer)
    info = wired_store.compare_and_swap("model/current", b"new", before.tag)
    assert wire.answer_instead is None
    assert info == s3_store.stat("model/current")
    with pytest.raises(ObjectChanged):
        wired_store.compare_and_swap("model/current", b"newer", before.tag)


@pytest.mark.parametrize("answer", [LOST, UPLOAD_GONE])
def test_an_upload_whose_last_answer_is_lost_is_done(
    s3_store: S3Store, wired_store: S3Store, wire, answer: bytes, large_file: Path
) -> None:
    wire.answer_instead = (rb"POST \S+uploadId=", answer)
    info = wired_store.upload("model/large", large_file)
    assert wire.answer_instead is None
    assert info == s3_store.stat("model/large")
    assert s3_store.read("model/large") == large_file.read_bytes()


def test_an_upload_that_somebody_else_aborted_is_not_taken_for_done(
    s3_store: S3Store, wired_store: S3Store, wire, large_file: Path
) -> None:
    before = s3_store.write("model/large", b"old")
    wire.answer_instead = (rb"PUT \S+uploadId=", UPLOAD_GONE)
    with pytest.raises(StoreError, match="NoSuchUpload"):
        wired_store.upload("model/large", large_file)
    assert s3_store.stat("model/large") == before


def test_a_byte_altered_on_the_way_is_noticed(s3_store: S3Store, wired_store: S3Store, wire) -> None:
    s3_store.write("model/one", b"a true sentence")
    wire.alter = (b"true", b"tall")
    with pytest.raises(IntegrityError, match="model/one"):
        wired_store.read("model/one")


def test_an_answer_that_breaks_off_is_asked_for_again(s3_store: S3Store, wired_store: S3Store, wire) -> None:
    data = os.urandom(9 * MIB)
    s3_store.write("model/one", data)
    wire.break_answer_after_bytes = MIB
    assert wired_store.read("model/one") == data
    wire.break_answer_after_bytes = MIB
    with wired_store.open("model/one") as stream:
        assert stream.read() == data
    wire.break_answer_after_bytes = MIB
    with wired_store.fetch("model/one") as path:
        assert path.read_bytes() == data
    assert wire.break_answer_after_bytes is None


def test_a_stream_holds_a_bounded_part_in_memory(s3_store: S3Store, wired_store: S3Store, wire) -> None:
    s3_store.write("model/one", os.urandom(20 * MIB))
    with wired_store.open("model/one") as stream:
        stream.seek(10 * MIB)
        stream.read(10)
        stream.read(100)
    assert wire.bytes_answered < 5 * MIB


def test_a_stream_ends_with_an_error_when_its_object_is_deleted(s3_store: S3Store) -> None:
    s3_store.write("model/one", os.urandom(9 * MIB))
    with s3_store.open("model/one") as stream:
        stream.read(10)
        s3_store.delete("model/one")
        with pytest.raises(ObjectMissing, match="model/one"):
            stream.read()


def test_stores_in_one_bucket_do_not_see_each_other(s3_settings: StoreSettings, s3_store: S3Store) -> None:
    s3_store.write("model/one", b"1")
    other = S3Store("tandem", in_bucket(s3_store, "")[:-1] + "-other", s3_settings.s3_endpoint_url)
    assert list(other.list()) == []
    other.write("model/two", b"2")
    assert [info.key for info in s3_store.list()] == ["model/one"]
