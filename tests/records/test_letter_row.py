"""Rows of dead letters are what an Avro library writes, and reads."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.dead_letter import DEAD_LETTER_SCHEMA, DeadLetter
from beam_obs.records.letter_row import LetterRows

# Of long ones the length counts; drawn letter by letter they would take a minute.
LONG_TEXT = st.builds(lambda text, times: text * times, st.text("ab", min_size=9, max_size=10), st.just(300))
TEXT = st.text(st.characters(codec="utf-8"), max_size=20) | LONG_TEXT
LONG = st.integers(-(2**63), 2**63 - 1)
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    "string": TEXT,
    "long": LONG,
    "int": st.integers(-(2**31), 2**31 - 1),
    "bytes": st.binary(max_size=100),
    "boolean": st.booleans(),
}
SCHEMA = fastavro.parse_schema(DEAD_LETTER_SCHEMA)


def values(kind: Any) -> st.SearchStrategy[Any]:
    return st.none() | values(kind[1]) if isinstance(kind, list) else BY_TYPE[kind]


LETTERS = st.builds(
    DeadLetter, **{field["name"]: values(field["type"]) for field in DEAD_LETTER_SCHEMA["fields"]}
)


@given(st.lists(LETTERS, max_size=5))
@pytest.mark.slow
def test_rows_are_those_of_an_avro_library(letters: list[DeadLetter]) -> None:
    rows = LetterRows()
    for letter in [*letters, *letters]:
        expected = io.BytesIO()
        fastavro.schemaless_writer(expected, SCHEMA, letter._asdict())
        assert rows.encode([letter]) == expected.getvalue()


def test_rows_are_right_however_many_texts_and_numbers_a_file_has() -> None:
    rows = LetterRows()
    for number in range(3_000):
        letter = DeadLetter(
            *(f"{number}", "key", "run", "p", f"stage {number}", None, f"uri {number}", number, number),
            *("global", "", number, "E", "wrong", "", "f", b"", "raw", "", 1, number, "root", "code"),
        )
        found: Any = fastavro.schemaless_reader(io.BytesIO(rows.encode([letter])), SCHEMA, None)
        assert found == letter._asdict()
