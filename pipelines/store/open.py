"""Open the store that the environment names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipelines.errors import UsageError
from pipelines.spec.environment import StoreSettings
from pipelines.store.base import Store
from pipelines.store.files import FileStore
from pipelines.store.memory import MemoryStore

_in_memory: dict[str, MemoryStore] = {}


def open_store(settings: StoreSettings) -> Store:
    """Return the store at `settings.uri`; it does not ask an S3 server anything yet.

    A memory:// URI gives the same store every time within one process. Raises `UsageError` for a URI that names no
    store, `StoreError` when a folder cannot be made or AWS_* variables are missing.
    """
    uri = urlsplit(settings.uri)
    path = unquote(uri.path)
    if uri.scheme == "memory":
        return _in_memory.setdefault(settings.uri, MemoryStore(f"{uri.netloc}{path}"))
    if uri.scheme == "file" and uri.netloc in {"", "localhost"} and path.strip("/"):
        return FileStore(Path(path))
    if uri.scheme == "s3" and uri.netloc:
        from pipelines.store.s3 import S3Store  # boto3 is slow to import, and only S3 needs it

        return S3Store(uri.netloc, path.strip("/"), settings.s3_endpoint_url)
    raise UsageError(
        f"Store URI {settings.uri!r} names no store: it must be file:///folder, s3://bucket/prefix or memory://name. "
        "Nothing was opened."
    )
