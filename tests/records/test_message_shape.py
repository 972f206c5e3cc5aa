"""Messages without their values."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.message_shape import message_shape

MESSAGES = {
    "time data {!r} does not match format '%Y-%m-%d'": "time data ? does not match format ?",
    "unsupported operand type(s) for +: 'int' and {!r}": "unsupported operand type s for ? and ?",
    "row has {} columns": "row has ? columns",
    "bad row: {}": "bad row ?",
}


@pytest.mark.parametrize("template", MESSAGES)
@given(value=st.text(st.characters(codec="utf-8")) | st.integers() | st.lists(st.integers() | st.text()))
def test_a_value_as_python_prints_it_leaves_the_shape_as_it_is(template: str, value: object) -> None:
    written = template.format(value) if "!r" in template else template.format(repr(value))
    assert message_shape(written) == MESSAGES[template]


@pytest.mark.parametrize(
    ("message", "shape"),
    [
        ("", ""),
        ("list index out of range", "list index out of range"),
        ("unknown carrier ZZ", "unknown carrier ?"),
        ("cannot parse 2013,1,1,AA,JFK", "cannot parse ?"),
        ("'utf-8' codec can't decode byte 0xff in position 3", "? codec can't decode byte ? in position ?"),
        ("no file gs://bucket/a.csv or /tmp/b for me@example.org", "no file ? or ? for ?"),
        ("<app.Row object at 0x7f00> of deadbeefcafe", "? object at ? of ?"),
        ("{'a': 1, 'b': None, 'c': b'x'}", "?"),
        ("the end.", "the end"),
        ("'never closed", "?"),
        ("größer als 5 \ud800", "? als ?"),
    ],
)
def test_words_stay_and_values_go(message: str, shape: str) -> None:
    assert message_shape(message) == shape


def test_it_takes_no_longer_than_the_message_is_long() -> None:
    begun = time.process_time()
    for text in ("'", "\\'", "a'", "`", "a-", "a_", "'a", "A", "Aa", "a", ".", "("):
        message_shape(text * 100_000)
    assert time.process_time() - begun < 1


@given(
    st.text(st.sampled_from("ab1290 '\"`\\.:/-_[](){}<>,=|!?bruxF\u0663\n"), max_size=60),
    st.frozensets(st.text("ab012 ", min_size=1, max_size=3), max_size=3),
)
def test_which_digit_it_is_tells_nothing(message: str, known: frozenset[str]) -> None:
    # A name of zeros that is nowhere in the message: digits are looked at one by one for its sake.
    assert message_shape(message, known) == message_shape(message, known | {"0 that is nowhere"})


def test_a_text_with_a_digit_is_not_taken_for_a_name_with_zeros() -> None:
    assert message_shape("no 'a 0' here", {"a 0"}) == "no a 0 here"
    assert message_shape("no 'a 1' here", {"a 0"}) == "no ? here"
