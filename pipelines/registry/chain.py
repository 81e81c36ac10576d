"""A chain of evidence: links that were each read by their hash, or say what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pipelines.errors import TandemError

T = TypeVar("T")


class Chain:
    """Collect links in the order in which they were followed, and go on where one is broken.

    A link is plain JSON: `link` its name, `key` where it is stored, `sha256` what it must have, `verified`, `problem`
    (None where verified), and `says`, what a person wants to know of it.
    """

    def __init__(self) -> None:
        self.links: list[dict[str, Any]] = []

    @property
    def is_whole(self) -> bool:
        """Whether every link was verified."""
        return all(link["verified"] for link in self.links)

    @property
    def problems(self) -> list[str]:
        """What is wrong, in the order of the links."""
        return [link["problem"] for link in self.links if not link["verified"]]

    def follow(
        self,
        link: str,
        read: Callable[[], T],
        says: Callable[[T], Mapping[str, Any]] = lambda _: {},
        key: str | None = None,
        sha256: str | None = None,
    ) -> T | None:
        """Read one link and return what it holds, or None where `read` raised one of our errors: its problem then."""
        entry = {"link": link, "key": key, "sha256": sha256}
        try:
            found = read()
        except TandemError as error:
            self.links.append({**entry, "verified": False, "problem": str(error), "says": {}})
            return None
        self.links.append({**entry, "verified": True, "problem": None, "says": dict(says(found))})
        return found
