"""Objects by key on a disk, on S3, or in memory."""

from pipelines.store.base import ObjectInfo, Store, check_key
from pipelines.store.open import open_store

__all__ = ["ObjectInfo", "Store", "check_key", "open_store"]
