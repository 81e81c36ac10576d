"""Read one YAML file into plain values, and tell on which line each of them stands.

The reading is YAML 1.2's core schema, so that `no`, `12:30` and `2013-01-01` stay the texts they look like. What makes
a file mean something else than it seems is refused: keys given twice, aliases of lists and mappings, and tags.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from pipelines.errors import Problem, SpecError

Path = tuple[str | int, ...]
"""The way to a value from the root of a file: keys of mappings and places in lists."""

_DEEPEST = 20  # levels of nesting; a spec has 5
_LONGEST_NUMBER = 300  # digits; Python refuses to read much longer ones
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass(frozen=True)
class Document:
    """A YAML file's mapping, and its text, in which lines are looked up only when there is a problem."""

    file: str
    value: dict[str, Any]
    text: str

    def line(self, path: Path) -> int | None:
        """Return the line, from 1, of the key or list item at `path`, or of the nearest value around it that exists."""
        lines = _Builder(self.file, self.text).read_lines()
        while path and path not in lines:
            path = path[:-1]
        return lines.get(path)

    def problem(self, path: Path, found: str, allowed: str) -> Problem:
        """Return a problem with what is at `path`."""
        return Problem(self.file, self.line(path), dotted(path), found, allowed)


def dotted(path: Path) -> str:
    """Return a path as people write it.

    >>> dotted(("training", "features", 3))
    'training.features[3]'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".") or "(file)"


def read_document(file: str, data: bytes) -> Document:
    """Return the mapping in a YAML file.

    Args:
        file: The name that problems carry.
        data: The file's bytes.

    Raises:
        SpecError: If the bytes are no UTF-8, no YAML, or no mapping, or mean something else than they seem to.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SpecError([Problem(file, line, "(file)", f"byte 0x{data[error.start]:02x}", "UTF-8 text")]) from error
    value, problems = _Builder(file, text).read()
    if not problems and not isinstance(value, dict):
        found = "nothing" if value is None else f"a {'list' if isinstance(value, list) else type(value).__name__}"
        problems = [Problem(file, 1, "(file)", found, "a mapping of keys to values")]
    if problems:
        raise SpecError(problems)
    return Document(file, value, text)


@dataclass
class _Builder:
    """Builds values from the parser's events, which, unlike its nodes, come without recursion in C."""

    file: str
    text: str
    problems: list[Problem] = field(default_factory=list)
    lines: dict[Path, int] = field(default_factory=dict)
    anchors: dict[str, Any] = field(default_factory=dict)

    def read(self) -> tuple[Any, list[Problem]]:
        events = yaml.parse(self.text, Loader=yaml.CBaseLoader)
        value = None
        try:
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if self.lines:
                        self._refuse((), event, "a second document", "one document a file")
                        break
                    value = self._value(next(events), events, ())
        except yaml.YAMLError as error:
            self._refuse_yaml(error)
        except _TooDeepError:
            pass  # it is among the problems
        return value, self.problems

    def read_lines(self) -> dict[Path, int]:
        self.read()
        return self.lines

    def _value(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        self.lines.setdefault(path, _line(event))
        if type(event) is yaml.AliasEvent:
            name = str(event.anchor)
            if name not in self.anchors:
                self._refuse(path, event, f"*{name}", "the list or mapping itself: only single values can be repeated")
            return self.anchors.get(name)
        if event.tag is not None:
            self._refuse(path, event, f"the tag {event.tag}", "values without tags")
        if type(event) is yaml.ScalarEvent:
            value = _scalar(event.value) if event.implicit[0] else event.value
            if event.anchor is not None:
                self.anchors[event.anchor] = value
            return value
        if len(path) >= _DEEPEST:
            self._refuse(path, event, "more nesting", f"at most {_DEEPEST} levels")
            raise _TooDeepError
        is_list = type(event) is yaml.SequenceStartEvent
        return self._list(events, path) if is_list else self._mapping(events, path)

    def _list(self, events: Iterator[Any], path: Path) -> list[Any]:
        values: list[Any] = []
        while type(event := next(events)) is not yaml.SequenceEndEvent:
            values.append(self._value(event, events, (*path, len(values))))
        return values

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while type(event := next(events)) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent:
                self._refuse(path, event, "a key that is no single word", "keys of plain text")
                self._value(event, events, (*path, "?"))
                self._value(next(events), events, (*path, "?"))
                continue
            here = (*path, event.value)
            if event.value in values:
                self._refuse(here, event, f"a key that is already on line {self.lines[here]}", "each key once")
            self.lines.setdefault(here, _line(event))
            values[event.value] = self._value(next(events), events, here)
        return values

    def _refuse(self, path: Path, event: Any, found: str, allowed: str) -> None:
        self.problems.append(Problem(self.file, _line(event), dotted(path), found, allowed))

    def _refuse_yaml(self, error: yaml.YAMLError) -> None:
        line, found = None, str(error)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            line = error.problem_mark.line + 1
            found = f"broken YAML: {' '.join(part for part in (error.problem, error.context) if part)}"
        allowed = "well-formed YAML"
        text = dict(enumerate(self.text.split("\n"), start=1)).get(line or 0, "")
        if "\t" in text[: len(text) - len(text.lstrip())]:
            found, allowed = "a tab in the indentation", "spaces"
        self.problems.append(Problem(self.file, line, "(file)", found, allowed))


class _TooDeepError(Exception):
    """The nesting is deeper than any spec's."""


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(text: str) -> Any:
    """Return the value of a plain word in YAML 1.2's core schema; NaN and infinity, which JSON lacks, stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return _WORDS.get(text.lower(), text) if text in ("Null", "NULL", "True", "TRUE", "False", "FALSE") else text
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
