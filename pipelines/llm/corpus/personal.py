"""Find personal data with Presidio, offline, and put its name in its place.

Presidio takes 28 ms for a document. Most documents cannot hold what its patterns look for: a search for a mark that
each finding must have, such as the @ of an e-mail address, says so in microseconds, and only the others are analysed.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pipelines.errors import UsageError
from pipelines.spec.corpus import Privacy

# What every finding of Presidio's pattern must contain; an entity that is not here is always looked for.
_NECESSARY = {
    "EMAIL_ADDRESS": re.compile(r"\w@\w"),
    "PHONE_NUMBER": re.compile(r"(?:\d[\s().+/x-]*){5}"),
    "CREDIT_CARD": re.compile(r"(?:\d[ -]?){12}"),
    "IBAN_CODE": re.compile(r"[A-Z]{2}[ -]?\d{2}"),
    "IP_ADDRESS": re.compile(r"\d\.\d|::|[0-9A-Fa-f]:[0-9A-Fa-f]"),
    "US_SSN": re.compile(r"\d{3}[- .]?\d{2}[- .]?\d{4}"),
    "URL": re.compile(r"\w\.\w"),
}
_LONGEST_AT_ONCE = 100_000  # characters; spaCy refuses a million, and time grows with the length


@dataclass(frozen=True)
class Finding:
    """One piece of personal data: characters `[start, end)` of the text that was searched."""

    entity: str
    start: int
    end: int
    score: float


class PersonalData:
    """What finds the spec's kinds of personal data; opening Presidio takes seconds, and waits for a text that needs it.

    Raises:
        UsageError: If Presidio knows no such entity, or the spaCy model is not installed.
    """

    def __init__(self, privacy: Privacy) -> None:
        self._privacy = privacy
        if privacy.spacy_model is not None and importlib.util.find_spec(privacy.spacy_model) is None:
            raise UsageError(
                f"corpus.privacy.spacy_model {privacy.spacy_model!r} is not installed. Install its wheel, or leave the "
                "key out to search by patterns. Nothing was prepared."
            )

    def find(self, text: str) -> list[Finding]:
        """Return what is personal in a text, in order, without overlaps: of two that overlap the surer, then longer."""
        entities = [name for name in self._privacy.entities if name not in _NECESSARY or _NECESSARY[name].search(text)]
        if not entities:
            return []
        analyzer = _analyzer(self._privacy.spacy_model)
        _refuse_unknown(entities, analyzer)
        found = [
            Finding(one.entity_type, start + one.start, start + one.end, one.score)
            for start, piece in _pieces(text)
            for one in analyzer.analyze(
                piece, language="en", entities=entities, score_threshold=self._privacy.minimum_score
            )
        ]
        return _without_overlaps(found)

    def redacted(self, text: str, findings: Sequence[Finding]) -> str:
        """Return a text with `<ENTITY>` in the place of each finding; as it is where the spec only counts."""
        if self._privacy.action == "count":
            return text
        for finding in reversed(findings):
            text = f"{text[: finding.start]}<{finding.entity}>{text[finding.end :]}"
        return text


def _without_overlaps(findings: Sequence[Finding]) -> list[Finding]:
    kept: list[Finding] = []
    for one in sorted(findings, key=lambda one: (-one.score, one.start - one.end, one.start, one.entity)):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)


def _pieces(text: str) -> list[tuple[int, str]]:
    """Cut a very long text between words."""
    pieces, start = [], 0
    while start < len(text):
        end = start + _LONGEST_AT_ONCE
        if end < len(text):
            space = text.rfind(" ", start, end)
            end = space if space > start else end
        pieces.append((start, text[start:end]))
        start = end
    return pieces


def _refuse_unknown(entities: Sequence[str], analyzer: Any) -> None:
    known = set(analyzer.get_supported_entities("en"))
    if unknown := [name for name in entities if name not in known]:
        raise UsageError(
            f"corpus.privacy.entities has {unknown}, which Presidio does not know without a spaCy model or at all; "
            f"known are {', '.join(sorted(known))}. Nothing was prepared."
        )


@cache
def _analyzer(spacy_model: str | None) -> Any:
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)  # it warns of every recogniser of other languages
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    registry.remove_recognizer("EmailRecognizer")
    registry.add_recognizer(_email_recognizer())
    if spacy_model is None:
        registry.remove_recognizer("SpacyRecognizer")
    return AnalyzerEngine(registry=registry, nlp_engine=_nlp_engine(spacy_model), supported_languages=["en"])


def _nlp_engine(spacy_model: str | None) -> Any:
    import spacy
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class LoadedEngine(SpacyNlpEngine):
        """Presidio would download a model that it cannot find; this one is given what is there."""

        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "en", "model_name": spacy_model or "blank"}])
            self.nlp: Any = {"en": spacy.load(spacy_model) if spacy_model else spacy.blank("en")}

    return LoadedEngine()


def _email_recognizer() -> Any:
    import tldextract
    from presidio_analyzer.predefined_recognizers import EmailRecognizer

    extract = tldextract.TLDExtract(suffix_list_urls=())  # the list inside the package: the other is on the network

    class OfflineEmailRecognizer(EmailRecognizer):
        """An address is one when its domain ends in a known suffix."""

        def validate_result(self, pattern_text: str) -> bool:
            return bool(extract(pattern_text).top_domain_under_public_suffix)

    return OfflineEmailRecognizer()
