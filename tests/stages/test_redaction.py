"""What is redacted never leaves the worker; the dead letter says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import UsageError
from beam_obs.records.payload import decode_payload
from beam_obs.records.run_context import observation_of
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.hidden_texts import REDACTED
from beam_obs.wrapper.redaction import Redaction, redaction_of

SECRET = "ada@example.org"


class Person(NamedTuple):
    name: str
    email: str


@dataclasses.dataclass
class Account:
    owner: dict[str, str]
    balance: int


def refuse(element: Any) -> Any:
    raise ValueError(f"cannot write to {element!r}: {SECRET} is unknown")


def letters_of(
    element: Any, check: Callable[[DeadLetter], None], payload: str = "whole", **stage: Any
) -> None:
    def check_one(letters: list[DeadLetter]) -> None:
        assert len(letters) == 1
        check(letters[0])

    with beam.Pipeline("DirectRunner") as p:
        observation_of(p).settings.payload = payload
        _, letters = (
            p | beam.Create([element]) | "send" >> Stage(beam.Map(refuse), **stage).with_dead_letters()
        )
        assert_that(letters, check_one)


def everything_in(letter: DeadLetter) -> str:
    return repr(letter) + letter.payload.decode("latin-1")


@pytest.mark.parametrize(
    "element",
    [
        {"name": "Ada", "email": SECRET},
        ("key", {"name": "Ada", "email": SECRET}),
        Person("Ada", SECRET),
        Account({"email": SECRET}, 3),
        {"people": [{"email": SECRET}, {"email": "b@example.org"}]},
        beam.Row(name="Ada", email=SECRET),
    ],
)
def test_a_named_field_appears_nowhere_in_the_dead_letter(element: Any) -> None:
    def check(letter: DeadLetter) -> None:
        assert SECRET not in everything_in(letter)
        assert REDACTED in letter.payload_text
        assert REDACTED in letter.error_message
        assert letter.redacted

    letters_of(element, check, redact=["email"])


def test_other_fields_stay_readable() -> None:
    def check(letter: DeadLetter) -> None:
        assert letter.payload_text == '{"name": "Ada", "email": "[redacted]"}'
        assert decode_payload(letter.payload, letter.payload_coder) == {"name": "Ada", "email": REDACTED}

    letters_of({"name": "Ada", "email": SECRET}, check, redact=["email"])


def test_an_element_without_the_named_field_is_left_out_as_a_whole() -> None:
    def check(letter: DeadLetter) -> None:
        assert SECRET not in everything_in(letter)
        assert letter.payload_text == REDACTED

    letters_of(f"Ada;{SECRET}", check, redact=["email"])


def test_a_function_gives_the_redacted_form() -> None:
    def check(letter: DeadLetter) -> None:
        assert SECRET not in everything_in(letter)
        assert letter.payload_text == "Ada"

    letters_of({"name": "Ada", "email": SECRET}, check, redact=lambda element: element["name"])


def test_a_function_that_fails_leaves_the_element_out_as_a_whole() -> None:
    def check(letter: DeadLetter) -> None:
        assert SECRET not in everything_in(letter)
        assert letter.payload_text == REDACTED

    letters_of({"name": "Ada", "email": SECRET}, check, redact=lambda element: element["missing"])


def test_a_masked_payload_keeps_the_structure_only() -> None:
    def check(letter: DeadLetter) -> None:
        assert SECRET not in everything_in(letter)
        assert letter.payload_text == '{"name": "[redacted]", "emails": ["[redacted]"]}'

    letters_of({"name": "Ada", "emails": [SECRET]}, check, payload="redacted")


def test_no_payload_keeps_the_error_only() -> None:
    def check(letter: DeadLetter) -> None:
        assert SECRET not in everything_in(letter)
        assert (letter.payload, letter.payload_coder, letter.payload_text) == (b"", "none", "")
        assert letter.error_type == "ValueError"
        assert letter.redacted

    letters_of({"name": "Ada", "email": SECRET}, check, payload="none")


def test_a_whole_payload_is_not_said_to_be_redacted() -> None:
    def check(letter: DeadLetter) -> None:
        assert not letter.redacted
        assert SECRET in letter.payload_text

    letters_of({"email": SECRET}, check)


def test_a_stage_adds_to_what_its_pipeline_redacts() -> None:
    outer = redaction_of(["email"])
    both = redaction_of(["name"], outer=outer)
    assert both == Redaction(fields=frozenset({"email", "name"}))


@pytest.mark.parametrize("redact", ["email", [1], 3])
def test_what_is_neither_names_nor_a_function_is_refused(redact: Any) -> None:
    with pytest.raises((UsageError, TypeError)):
        Stage(beam.Map(refuse), redact=redact)


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers(), min_size=1))
def test_a_masked_element_has_the_fields_and_none_of_the_values(element: dict[str, Any]) -> None:
    masked, _ = Redaction(payload="redacted").apply(element)
    assert list(masked) == list(element)
    assert set(masked.values()) == {REDACTED}
