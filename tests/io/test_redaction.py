"""What reads of lines leave out of their dead letters; other reads have tests of their own."""

from __future__ import annotations

import pathlib
from typing import Any, NamedTuple

import pytest

import beam_obs as obs
from tests.io.pipelines import run_with_dead_letters


class Person(NamedTuple):
    name: str
    age: int


def _dead(content: bytes, **arguments: Any) -> list[Any]:
    pathlib.Path("in.csv").write_bytes(content)
    _, dead = run_with_dead_letters(obs.ReadFromCsv("in.csv", record=Person, **arguments))
    return dead


def test_named_columns_of_a_row_that_can_be_taken_apart_are_left_out() -> None:
    (letter,) = _dead(b"name,age\nAda Lovelace,old\n", redact=["name"])

    assert letter.payload_text == '{"name": "[redacted]", "age": "old"}'
    assert letter.error_message == "column 'age' is 'old', expected a whole number"
    assert letter.redacted
    assert b"Ada" not in letter.payload


@pytest.mark.parametrize("value", [b"x", b"x" * 500])
def test_the_value_of_a_named_column_is_in_no_message_short_or_long(value: bytes) -> None:
    (letter,) = _dead(b"name,age\nAda," + value + b"\n", redact=["age"])

    assert letter.error_message == "[redacted] (age)"
    assert letter.traceback.endswith("[redacted] (age)\n")
    assert letter.payload_text == '{"name": "Ada", "age": "[redacted]"}'


def test_rows_that_cannot_be_taken_apart_are_left_out_whole() -> None:
    dead = _dead(b'name,age\nAda\nA\xff,3\n"Ada,3\n', redact=["name"])

    assert [letter.payload_text for letter in dead] == ["[redacted]"] * 3
    assert all(letter.error_message.startswith("[redacted]") for letter in dead)
    assert not any(b"Ada" in letter.payload for letter in dead)
    assert len({letter.fingerprint for letter in dead}) == 3


def test_a_function_gives_the_redacted_form() -> None:
    (letter,) = _dead(b"name,age\nAda,old\n", redact=_initials)

    assert letter.payload_text == '{"name": "A.", "age": "old"}'
    assert "Ada" not in letter.error_message


def test_refused_lines_of_a_text_are_left_out() -> None:
    pathlib.Path("in.txt").write_bytes(b"fine\nsecret \xff\n")

    _, (letter,) = run_with_dead_letters(obs.ReadFromText("in.txt", redact=["line"]))

    assert letter.payload_text == "[redacted]"
    assert letter.position == 5
    assert b"secret" not in letter.payload


def test_a_file_refused_as_a_whole_shows_nothing_of_its_header() -> None:
    (letter,) = _dead(b"Ada Lovelace,36\n", redact=["name"])

    assert letter.error_type.endswith("WrongHeader")
    assert "Ada" not in letter.error_message + letter.traceback + letter.payload_text


def test_something_else_than_names_or_a_function_is_refused_when_the_pipeline_is_built() -> None:
    with pytest.raises(obs.UsageError, match="give a list of field names"):
        obs.ReadFromCsv("in.csv", redact="name")


def _initials(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"name": f"{row['name'][0]}."}
