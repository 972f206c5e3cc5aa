"""assert_dead_letters: passes for what was expected, and shows what differs."""

from __future__ import annotations

import pathlib
import unittest
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

import beam_obs as obs
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.testing import assert_dead_letters, contains, dead_letter, like, meets


class BadRow(ValueError):
    """An error of the user's own."""


def letter(**fields: Any) -> DeadLetter:
    return DeadLetter(
        **{
            "id": "i",
            "key": "k",
            "run": "r",
            "pipeline": "p",
            "stage": "parse",
            "origin": None,
            "source_uri": "in.csv",
            "position": 7,
            "event_time": 0,
            "window": "global",
            "pane": "",
            "failed_at": 0,
            "error_type": "ValueError",
            "error_message": "invalid literal: 'x'",
            "traceback": "",
            "fingerprint": "f",
            "payload": b"x",
            "payload_coder": "beam:coder:string_utf8:v1",
            "payload_text": "x",
            "attempt": 1,
            "first_failed_at": 0,
            "root_id": "i",
            "code": "",
            **fields,
        }
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stage": "parse"},
        {"stage": like("^pa")},
        {"error_type": ValueError},
        {"error_type": "ValueError"},
        {"error_type": contains("Value")},
        {"message": "invalid literal: 'x'"},
        {"message": contains("invalid", "'x'")},
        {"payload": "x"},
        {"payload": meets("one letter", lambda text: len(text) == 1)},
        {"position": 7, "source_uri": like(r"\.csv$")},
    ],
)
def test_a_dead_letter_as_expected_passes(fields: dict[str, Any]) -> None:
    assert_dead_letters([letter()], dead_letter(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"stage": "pars"},
        {"error_type": KeyError},
        {"error_type": "Error"},
        {"error_type": BadRow},
        {"message": contains("y")},
        {"payload": b"x"},
        {"payload": meets("a number", lambda text: text > 1)},
        {"position": 8},
    ],
)
def test_a_dead_letter_that_differs_fails(fields: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="0 of them as expected"):
        assert_dead_letters([letter()], dead_letter(**fields))


def test_an_error_type_may_be_given_with_or_without_its_module() -> None:
    found = letter(error_type=f"{BadRow.__module__}.BadRow")
    for expected in (BadRow, "BadRow", f"{BadRow.__module__}.BadRow"):
        assert_dead_letters([found], dead_letter(error_type=expected))


def test_a_payload_that_cannot_be_decoded_is_compared_as_text() -> None:
    found = letter(payload=b"?", payload_coder="app.OwnCoder", payload_text='{"a": 1}')
    assert_dead_letters([found], dead_letter(payload={"a": 1}))
    assert_dead_letters([found], dead_letter(payload=contains('"a"')))


def test_none_expected_means_none_found() -> None:
    assert_dead_letters([])
    with pytest.raises(AssertionError, match="expected 0, found 1"):
        assert_dead_letters([letter()])


def test_each_found_is_used_once() -> None:
    with pytest.raises(AssertionError, match="expected 2, found 1, 1 of them as expected"):
        assert_dead_letters([letter()], dead_letter(stage="parse"), dead_letter(payload="x"))
    assert_dead_letters([letter()] * 3, dead_letter(times=3))


def test_what_is_general_does_not_take_the_place_of_what_is_special() -> None:
    special, other = letter(payload=b"x"), letter(payload=b"y")
    assert_dead_letters([special, other], dead_letter(), dead_letter(payload="x"))
    assert_dead_letters([special, other], dead_letter(payload="x"), dead_letter())


def test_others_are_allowed_where_it_says_so() -> None:
    assert_dead_letters([letter(), letter()], dead_letter(), others=True)
    with pytest.raises(AssertionError, match="expected 1 or more, found 1"):
        assert_dead_letters([letter()], dead_letter(stage="other"), others=True)


def test_the_difference_can_be_read() -> None:
    with pytest.raises(AssertionError) as raised:
        assert_dead_letters(
            [letter(), letter(stage="check", error_message="too big")],
            dead_letter(stage="check", message=contains("large"), payload="x"),
            dead_letter(stage="parse"),
        )
    assert str(raised.value) == "\n".join(
        [
            "dead letters are not as expected: expected 2, found 2, 1 of them as expected",
            "expected, but not found:",
            "  1. stage 'check'  message contains 'large'  payload 'x'",
            "found, but not expected:",
            "  1. stage 'check'  error_type ValueError  message 'too big'  payload 'x'",
            "nearest to each other:",
            "           expected          found",
            "  stage    'check'           'check'",
            "  message  contains 'large'  'too big'  <-",
            "  payload  'x'               'x'",
        ]
    )


def test_long_lists_and_values_are_cut() -> None:
    letters = [letter(payload=b"z" * 5000, payload_coder="raw") for _ in range(30)]
    with pytest.raises(AssertionError, match="and 20 more") as raised:
        assert_dead_letters(letters)
    assert len(str(raised.value)) < 5000


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="no field 'mesage'; it has payload, message"):
        dead_letter(mesage="x")
    with pytest.raises(TypeError, match="made by dead_letter"):
        assert_dead_letters([], "ValueError")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="give 1 or more"):
        dead_letter(times=0)


def refuse(pipeline: Any, **options: Any) -> Any:
    return pipeline | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), **options)


def test_a_pcollection_is_looked_at_when_the_pipeline_runs() -> None:
    p = TestPipeline("FnApiRunner")
    texts = p | beam.Create(["1", "x"])
    _, dead = texts | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
    assert_dead_letters(dead)
    assert_dead_letters(dead, dead_letter(payload="x"))
    with pytest.raises(Exception, match="found, but not expected"):
        p.run()


def test_the_result_of_an_observed_pipeline_its_store_and_its_folder_all_do() -> None:
    with obs.Pipeline("FnApiRunner", name="numbers") as p:
        refuse(p)
    expected = dead_letter(stage="parse", payload="x")
    for actual in (p.result, obs.Store(), ".beam_obs", pathlib.Path(".beam_obs")):
        assert_dead_letters(actual, expected)
        with pytest.raises(AssertionError):
            assert_dead_letters(actual)


@pytest.mark.parametrize("sink", [obs.AvroFiles("dead"), obs.JsonLines("dead")])
def test_the_folder_of_a_home_of_ones_own_does(sink: Any) -> None:
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(sink) as dead:
        refuse(p, dead_letters=dead)
    assert_dead_letters("dead", dead_letter(payload="x"))


def test_the_result_of_a_plain_pipeline_says_what_to_give() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create([1])
    with pytest.raises(TypeError, match=r"give the result of an obs\.Pipeline"):
        assert_dead_letters(p.result)


class WithUnittest(unittest.TestCase):
    """Not only pytest."""

    def test_assertions_fail_as_those_of_unittest_do(self) -> None:
        with pytest.raises(self.failureException):
            assert_dead_letters([letter()])
