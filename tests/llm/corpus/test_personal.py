"""Personal data is found offline, and its kind is put in its place."""

from __future__ import annotations

import random
import socket

import pytest

from pipelines.errors import UsageError
from pipelines.llm.corpus import personal
from pipelines.llm.corpus.personal import PersonalData
from pipelines.spec.corpus import Privacy

TEXT = (
    "Write to anna.smith@example.com or pay with 4111 1111 1111 1111. IBAN DE89 3704 0044 0532 0130 00; "
    "server 10.0.0.12; call me on the phone: (212) 555-0199."
)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("something wants to go to the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def redacted(text: str, privacy: Privacy) -> str:
    data = PersonalData(privacy)
    return data.redacted(text, data.find(text))


@pytest.mark.usefixtures("no_network")
def test_each_kind_is_found_and_its_name_put_in_its_place() -> None:
    found = redacted(TEXT, Privacy())
    assert "anna" not in found
    assert "4111" not in found
    assert "DE89" not in found
    assert "10.0.0.12" not in found
    assert "<EMAIL_ADDRESS>" in found
    assert "<CREDIT_CARD>" in found
    assert "<IBAN_CODE>" in found
    assert "<IP_ADDRESS>" in found


def test_a_spec_may_only_count() -> None:
    data = PersonalData(Privacy(action="count"))
    found = data.find(TEXT)
    assert len(found) >= 4
    assert data.redacted(TEXT, found) == TEXT


def test_an_address_of_no_known_domain_is_none() -> None:
    assert redacted("the decorator foo@bar.baz1 and a@b", Privacy(entities=("EMAIL_ADDRESS",))) == (
        "the decorator foo@bar.baz1 and a@b"
    )


def test_overlapping_findings_are_replaced_once() -> None:
    privacy = Privacy(entities=("EMAIL_ADDRESS", "URL"), minimum_score=0.1)
    assert redacted("see anna@example.com!", privacy) == "see <EMAIL_ADDRESS>!"


def test_a_text_without_the_marks_of_any_kind_is_never_analysed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal, "_analyzer", lambda model: pytest.fail("it was analysed"))
    assert PersonalData(Privacy()).find("Return the sum of a list of 12 numbers, at most 99.") == []


def test_the_marks_leave_out_nothing_that_presidio_finds() -> None:
    """Against Presidio without the marks, on numbers and addresses in all kinds of writing."""
    draw = random.Random(3)
    pieces = ["4111-1111-1111-1111", "378282246310005", "GB82 WEST 1234 5698 7654 32", "078-05-1120", "078051120"]
    pieces += ["::1", "fe80::1%eth0", "2001:db8::ff00:42:8329", "192.168.1.1", "(212) 555-0199", "+44 20 7946 0958"]
    pieces += ["bob@mail.co.uk", "030 123456", "1-800-555-0100", "FR7630006000011234567890189", "12.5", "3:4", "v1.2.3"]
    privacy = Privacy(minimum_score=0.0)
    data, analyzer = PersonalData(privacy), personal._analyzer(None)
    for _ in range(40):
        text = " and ".join(draw.sample(pieces, 2))
        for entity in privacy.entities:
            if analyzer.analyze(text, language="en", entities=[entity], score_threshold=0.0):
                assert personal._NECESSARY[entity].search(text), (entity, text)
        assert data.find(text) is not None


def test_a_text_of_a_million_characters_is_searched_to_its_end() -> None:
    text = "word and " * 120_000 + "anna@example.com"
    found = PersonalData(Privacy(entities=("EMAIL_ADDRESS",))).find(text)
    assert [(one.start, one.end) for one in found] == [(len(text) - 16, len(text))]


def test_an_unknown_entity_is_named() -> None:
    with pytest.raises(UsageError, match=r"\['SHOE_SIZE'\], which Presidio does not know"):
        PersonalData(Privacy(entities=("SHOE_SIZE",))).find("44")


def test_a_spacy_model_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="spacy_model 'en_core_web_xx' is not installed"):
        PersonalData(Privacy(spacy_model="en_core_web_xx"))
