from __future__ import annotations

from pathlib import Path

import boto3
import pytest

from pipelines.data.sources.locations import located
from pipelines.errors import DataError, UsageError
from pipelines.spec.environment import StoreSettings


def test_local_globs_give_each_file_once_and_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "sub/c.csv", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    with located([f"{tmp_path}/**/*.csv", f"{tmp_path}/a.csv"]) as files:
        assert [file.name for file in files] == [f"{tmp_path}/{name}" for name in ("a.csv", "b.csv", "sub/c.csv")]


def test_a_relative_path_starts_at_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("x")
    monkeypatch.chdir(tmp_path)

    with located(["*.csv"]) as files:
        assert [file.name for file in files] == ["a.csv"]


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")

    with (
        pytest.raises(DataError, match=r"No file matches '.*/b\*\.csv'"),
        located([f"{tmp_path}/*.csv", f"{tmp_path}/b*.csv"]),
    ):
        pass


def test_globs_on_s3_bring_the_objects_here_and_take_them_away_after(s3_settings: StoreSettings) -> None:
    client = boto3.client("s3", endpoint_url=s3_settings.s3_endpoint_url)
    for key in ("flights/2013/b.csv", "flights/2013/a.csv", "flights/2013/old/c.csv", "flights/2013/note.txt"):
        client.put_object(Bucket="tandem", Key=f"sources/{key}", Body=key.encode())
    client.close()

    with located(["s3://tandem/sources/flights/*/*.csv"], s3_settings.s3_endpoint_url) as files:
        assert {file.name: file.path.read_text() for file in files} == {
            "s3://tandem/sources/flights/2013/a.csv": "flights/2013/a.csv",
            "s3://tandem/sources/flights/2013/b.csv": "flights/2013/b.csv",
        }
    assert not any(file.path.exists() for file in files)


def test_a_bucket_that_is_not_there_is_a_data_error(s3_settings: StoreSettings) -> None:
    with (
        pytest.raises(DataError, match=r"S3 does not give 's3://nowhere/x\.csv'"),
        located(["s3://nowhere/x.csv"], s3_settings.s3_endpoint_url),
    ):
        pass


def test_a_path_without_a_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match="expected s3://bucket/key"), located(["s3://x"]):
        pass
