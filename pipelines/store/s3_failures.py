"""What S3 and its client say when something is wrong, as the project's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError

from pipelines.errors import IntegrityError, StoreError
from pipelines.store.failures import missing

READ = "Nothing was read or changed."
REFUSED = "Nothing was read or written."
WRITTEN = "The object there is as it was, or new and whole; the same write can be tried again."


@dataclass(frozen=True)
class Place:
    """Where an S3 store is, for people to read."""

    endpoint: str
    bucket: str
    root: str

    @contextmanager
    def explained(self, key: str, outcome: str) -> Iterator[None]:
        """Turn errors of boto3 into a `StoreError` (or `IntegrityError`) that names endpoint, bucket and key."""
        try:
            yield
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                raise missing(self.root, key) from None
            if status_of(error) < 500:  # a clear no, unlike an answer that is lost or a server in trouble
                outcome = REFUSED
            raise StoreError(f"{self._sentence(error)} {self._named(key)} {outcome}") from error
        except FlexibleChecksumError as error:
            raise IntegrityError(
                f"S3 at {self.endpoint} gave other bytes than were written: {error}. {self._named(key)} Not used."
            ) from error
        except (BotoCoreError, Boto3Error) as error:
            raise StoreError(
                f"S3 at {self.endpoint} does not answer as it should: {error} {self._named(key)} {outcome}"
            ) from error

    def bucket_missing(self) -> str:
        """Return the sentence for a bucket that is not there."""
        return f"S3 at {self.endpoint} has no bucket {self.bucket!r}: make it, or correct the store's URI."

    def _sentence(self, error: ClientError) -> str:
        code, status = code_of(error), status_of(error)
        if code == "NoSuchBucket":
            return self.bucket_missing()
        if status == 403:
            return (
                f"S3 at {self.endpoint} refuses these credentials ({code}, HTTP 403): check AWS_ACCESS_KEY_ID, "
                "AWS_SECRET_ACCESS_KEY and what they are allowed to do."
            )
        return f"S3 at {self.endpoint} answers {code}, HTTP {status}: {error.response['Error'].get('Message', '')}"

    def _named(self, key: str) -> str:
        return f"(Bucket {self.bucket!r}, key {key!r}.)"


def code_of(error: ClientError) -> str:
    """Return S3's own word for the error, such as NoSuchKey; only the HTTP status where it gave no word."""
    return str(error.response.get("Error", {}).get("Code", "unknown"))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the error."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
