"""What a dead letter says of the exception."""

from __future__ import annotations

import pickle
import sys
from typing import Any

import apache_beam as beam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.wrapper.failure import MESSAGE_LIMIT, failure_of, failure_parts_of, in_words
from tests.running import through


def raised(fail: Any, stage: str = "s") -> Any:
    try:
        fail()
    except BaseException as error:
        return failure_of(error, stage)
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("error", [ValueError("row 7 of 'a'"), KeyError("b")])
def test_what_is_put_in_words_later_says_the_same_wherever_it_is_done(error: Exception) -> None:
    try:
        raise error
    except Exception:
        now, put_off = failure_of(error, "s"), failure_parts_of(error, "s")
    assert in_words(put_off) == now
    assert pickle.loads(pickle.dumps(put_off)) == now


def letter_of(fail: Any) -> Any:
    return through(["x"], beam.Map(lambda _: fail())).letter


class BadRow(ValueError):
    pass


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Shy(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        import threading

        self.lock = threading.Lock()


class Empty(Exception):
    """Counts as false, as an exception with a length may."""

    def __len__(self) -> int:
        return 0


def fail_with(error: BaseException) -> Any:
    def fail() -> None:
        raise error

    return fail


def test_types_are_named_in_full_and_builtin_ones_alone() -> None:
    assert letter_of(fail_with(ValueError("x"))).error_type == "ValueError"
    assert letter_of(fail_with(BadRow("x"))).error_type == f"{__name__}.BadRow"


def test_an_exception_without_a_text_is_a_dead_letter() -> None:
    assert letter_of(fail_with(Silent())).error_message == "<no text: str() raised RuntimeError>"
    assert letter_of(fail_with(Shy())).error_message == "<no text: str() raised TypeError>"


def test_an_exception_that_cannot_be_pickled_is_a_dead_letter() -> None:
    def fail() -> None:
        raise Unpicklable

    assert letter_of(fail).error_message == "holds a lock"


@pytest.mark.parametrize("text", ["\ud800", "bad \udcff byte", "null \0", "🛩" * 10, "line\nline"])
def test_an_exception_of_any_text_is_a_dead_letter_that_can_be_written(text: str, tmp_path: Any) -> None:
    import fastavro

    import beam_obs as obs

    def fail(_: Any) -> None:
        raise ValueError(text)

    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(str(tmp_path)) as dead:
        _ = p | beam.Create(["x"]) | "step" >> obs.Stage(beam.Map(fail), dead_letters=dead)
    (file,) = tmp_path.glob("*.avro")
    with file.open("rb") as opened:
        (letter,) = fastavro.reader(opened)
    assert letter["error_message"] == text.encode("utf-8", "backslashreplace").decode()
    assert letter["error_message"] in letter["traceback"]


@given(st.text(st.characters(exclude_categories=())))
def test_message_and_traceback_are_always_utf8(text: str) -> None:
    failure = raised(fail_with(ValueError(text)))
    failure.message.encode()
    failure.traceback.encode()


def test_a_long_message_is_cut_and_says_so() -> None:
    message = letter_of(fail_with(ValueError("x" * 100_000))).error_message
    assert len(message) < MESSAGE_LIMIT + 20
    assert message.endswith("x... [cut]")


def test_the_traceback_shows_the_users_frames_only() -> None:
    def inner() -> None:
        raise BadRow("here")

    def outer() -> None:
        inner()

    lines = letter_of(outer).traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == f"{__name__}.BadRow: here"
    assert [line.strip() for line in lines if line.startswith("    ")][-2:] == [
        "inner()",
        'raise BadRow("here")',
    ]
    assert not any("beam_obs/wrapper" in line or "apache_beam" in line for line in lines)


def test_causes_and_contexts_are_told_the_first_one_first() -> None:
    def chained() -> None:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904
        except ValueError as error:
            raise BadRow("third") from error

    text = letter_of(chained).traceback
    places = [text.index(part) for part in ("KeyError: 'first'", "ValueError: second", "BadRow: third")]
    assert places == sorted(places)


def test_a_suppressed_context_is_not_told() -> None:
    def suppressed() -> None:
        try:
            raise KeyError("hidden")
        except KeyError:
            raise ValueError("seen") from None

    assert "hidden" not in letter_of(suppressed).traceback


def test_causes_in_a_circle_end() -> None:
    def circle() -> None:
        first, second, third = ValueError("1"), ValueError("2"), ValueError("3")
        first.__cause__, second.__cause__, third.__cause__ = second, third, second
        raise first

    assert raised(circle).message == "1"


def test_a_cause_that_counts_as_false_is_told() -> None:
    def caused() -> None:
        raise ValueError("outer") from Empty("inner")

    assert "Empty: inner" in raised(caused).traceback


def test_a_very_long_chain_of_causes_is_shortened() -> None:
    def chain() -> None:
        error: BaseException = ValueError("0")
        for number in range(1, 5000):
            later = ValueError(str(number))
            later.__cause__ = error
            error = later
        raise error

    text = raised(chain).traceback
    assert len(text) < 100_000
    assert "ValueError: 4999" in text


def test_a_deep_recursion_has_a_short_traceback() -> None:
    def recurse(depth: int = 0) -> None:
        recurse(depth + 1)

    letter = letter_of(recurse)
    assert letter.error_type == "RecursionError"
    assert len(letter.traceback) < 50_000
    assert "frames" in letter.traceback


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes and groups came with Python 3.11")
def test_notes_and_the_members_of_a_group_are_told() -> None:
    def noted() -> None:
        error = ValueError("x")
        error.add_note("in column 3")  # type: ignore[attr-defined,unused-ignore]
        raise error

    def group() -> None:
        raise ExceptionGroup("several", [KeyError("one"), ValueError("two")])  # type: ignore[name-defined,unused-ignore]  # noqa: F821

    assert "in column 3" in letter_of(noted).traceback
    text = letter_of(group).traceback
    assert "KeyError: 'one'" in text
    assert "ValueError: two" in text


def test_fingerprints_are_16_hex_digits() -> None:
    assert len(bytes.fromhex(raised(fail_with(ValueError())).fingerprint)) == 8


def test_equal_failures_of_different_elements_have_one_fingerprint_and_keys_of_their_own() -> None:
    letters = through(["x", "y", "y"], beam.Map(int)).letters
    assert len({letter.fingerprint for letter in letters}) == 1
    assert len({letter.key for letter in letters}) == 2
    assert len({letter.id for letter in letters}) == 3
