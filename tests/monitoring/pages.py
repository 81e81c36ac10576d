"""What every page must be: whole HTML that needs nothing but itself, and says in words what its pictures show."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_NO_END = {"meta", "link", "img", "br", "source"}


class Page(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.html = page
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.pictures_without_words = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes += found.items()
        said = found.get("alt") or found.get("aria-label") or found.get("aria-hidden")
        self.pictures_without_words += tag in {"img", "svg"} and not said and "svg" not in self.open
        if tag not in _NO_END:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _NO_END:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All that the page says, without marks."""
        return re.sub(r"\s+", " ", " ".join(self.texts))


def assert_whole_and_alone(html: str) -> Page:
    """Return the page, after seeing that it is whole, runs nothing, asks for nothing, and describes its pictures."""
    page = Page(html)
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "embed", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "href"]
    assert all(
        value.startswith("data:image/png;base64,") for name, value in page.attributes if name in {"src", "srcset"}
    )
    assert not re.search(r"https?://|@import|url\(", html)
    assert page.pictures_without_words == 0
    return page
