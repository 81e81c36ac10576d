"""Who has sent an event: a user of Airflow by a bearer token, or somebody who has the secret and has signed it.

A session cookie is not enough: a browser sends it along with what another site has made it send.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import HTTPException, Request
from tandem_airflow import BaseUser, may_access_runs, resolve_user_from_token

SECRET_VARIABLE = "TANDEM_EVENTS_SECRET"  # noqa: S105 -- the variable's name
SHORTEST_SECRET = 32
SECONDS_OLD = 300
SIGNATURE, TIMESTAMP = "x-tandem-signature", "x-tandem-timestamp"
UNSIGNED = ("idempotency-key", "ce-")
CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class Sender:
    """Who has sent an event; `user` is None for one who has signed it."""

    name: str
    user: BaseUser | None = None

    def may_train(self, request: Request, dag_id: str) -> bool:
        """Tell whether the sender may ask for a run of this DAG; who has the secret may ask for any."""
        return self.user is None or may_access_runs(request, self.user, "POST", dag_id)


async def sender_of(request: Request, body: bytes) -> Sender:
    """Return who has sent the request. Raises 401 with a sentence."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        try:
            user = await resolve_user_from_token(token.strip())
        except HTTPException as error:
            raise _unknown(f"The bearer token is not valid: {error.detail}. POST /auth/token gives one.") from error
        return Sender(user.get_name(), user)
    if SIGNATURE in request.headers or TIMESTAMP in request.headers:
        check_signature(request.headers, body, os.environ.get(SECRET_VARIABLE, ""), time.time())
        return Sender("a sender with the secret")
    raise _unknown(
        "Nobody is named: send Airflow's bearer token (POST /auth/token gives one), or sign the event with "
        "X-Tandem-Timestamp and X-Tandem-Signature. A session cookie is not enough."
    )


def sign(body: bytes, secret: str, timestamp: int) -> str:
    """Return the value of X-Tandem-Signature.

    >>> sign(b"{}", 32 * "x", 1)[:15]
    'sha256=99a24d99'
    """
    signed = f"{timestamp}.".encode() + body
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def check_signature(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    """Raise 401 unless timestamp and signature are right, and 422 where a header counts that nobody has signed."""
    if len(secret) < SHORTEST_SECRET:
        raise _unknown(
            f"Signed events are off: {SECRET_VARIABLE} has {len(secret)} characters; at least {SHORTEST_SECRET} "
            "are needed."
        )
    timestamp = headers.get(TIMESTAMP, "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise _unknown(f"X-Tandem-Timestamp: found {timestamp[:20]!r}; allowed: whole seconds since 1970, UTC.")
    if abs(now - int(timestamp)) > SECONDS_OLD:
        raise _unknown(
            f"X-Tandem-Timestamp: found {timestamp}, and here it is {int(now)}; allowed: within {SECONDS_OLD} s."
        )
    expected = sign(body, secret, int(timestamp))
    if not hmac.compare_digest(expected.encode(), headers.get(SIGNATURE, "").encode()):
        raise _unknown(
            "X-Tandem-Signature is wrong; it must be sha256= and the hex HMAC-SHA256 of '<timestamp>.' and the body."
        )
    unsigned = sorted(name for name in headers if name.startswith(UNSIGNED))
    if unsigned:
        raise HTTPException(
            422,
            f"{unsigned[0]}: the signature covers the body alone. Put what tells events apart into the body: "
            "'evidence', or a structured CloudEvent. Nothing was done.",
        )


def _unknown(sentence: str) -> HTTPException:
    return HTTPException(401, f"{sentence} Nothing was done.", headers=CHALLENGE)
