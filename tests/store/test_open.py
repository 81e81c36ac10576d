from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pipelines
from pipelines.errors import UsageError
from pipelines.spec.environment import StoreSettings
from pipelines.store import open_store
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore
from pipelines.store.s3 import S3Store


def test_a_file_uri_opens_a_folder_and_makes_it(tmp_path: Path) -> None:
    store = open_store(StoreSettings(uri=f"file://{tmp_path}/with a space/store"))
    assert isinstance(store, FileStore)
    store.write("model/one", b"1")
    assert (tmp_path / "with a space" / "store" / "model" / "one").read_bytes() == b"1"


def test_a_store_opens_again_under_its_own_root(tmp_path: Path, s3_settings: StoreSettings) -> None:
    for uri in (f"file://{tmp_path}/a store", "s3://tandem/open/again", "memory://again/and-again"):
        store = open_store(s3_settings.model_copy(update={"uri": uri}))
        store.write("model/one", uri.encode())
        assert not store.root.endswith("/")
        again = open_store(s3_settings.model_copy(update={"uri": store.root}))
        assert again.root == store.root
        assert again.read("model/one") == uri.encode()


def test_a_memory_uri_opens_the_same_store_in_one_process() -> None:
    store = open_store(StoreSettings(uri="memory://same"))
    assert isinstance(store, MemoryStore)
    assert open_store(StoreSettings(uri="memory://same")) is store
    assert open_store(StoreSettings(uri="memory://other")) is not store


def test_an_s3_uri_opens_a_bucket_with_or_without_a_prefix(s3_settings: StoreSettings) -> None:
    whole = open_store(s3_settings.model_copy(update={"uri": "s3://tandem/"}))
    part = open_store(s3_settings.model_copy(update={"uri": "s3://tandem/opened/part/"}))
    assert isinstance(part, S3Store)
    part.write("model/one", b"1")
    assert whole.read("opened/part/model/one") == b"1"
    assert (whole.root, part.root) == ("s3://tandem", "s3://tandem/opened/part")


@pytest.mark.parametrize("uri", ["file://", "file:///", "file://elsewhere/folder", "s3://", "s3:///prefix"])
def test_a_uri_that_names_no_store_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="names no store"):
        open_store(StoreSettings(uri=uri))


def test_boto3_is_imported_only_for_s3(tmp_path: Path) -> None:
    script = f"""
import sys
from pipelines.store import open_store
from pipelines.spec.environment import StoreSettings
open_store(StoreSettings(uri="file://{tmp_path}/store"))
assert not {{"boto3", "pyarrow", "pandas"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(pipelines.__file__).parents[1])
