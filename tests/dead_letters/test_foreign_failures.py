"""Stages and homes together with Beam's own error handling, and with asgarde."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import CollectingErrorHandler, ErrorHandler
from asgarde import CollectionComposer

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.records.errors import UsageError
from beam_obs.records.payload import decode_payload
from beam_obs.stages.stage import Stage


def letters_in(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in folder.glob("dead_letters-*.avro"):
        with path.open("rb") as file:
            found += list(fastavro.reader(file))  # type: ignore[arg-type]
    return found


class Facts(beam.PTransform):
    def expand(self, letters: Any) -> Any:
        return letters | beam.Map(lambda letter: (letter.stage, letter.error_type, letter.payload_text))


def test_a_stage_gives_its_dead_letters_to_an_error_handler_of_beam() -> None:
    with beam.Pipeline("DirectRunner") as p:
        with ErrorHandler(Facts()) as handler:
            good = p | beam.Create(["1", "x"]) | "parse" >> Stage(beam.Map(int), dead_letters=handler)
        assert_that(good, equal_to([1]), label="good")
        assert_that(handler.output(), equal_to([("parse", "ValueError", "x")]), label="bad")


def test_a_stage_with_an_error_handler_has_no_second_output() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        Stage(beam.Map(int), dead_letters=CollectingErrorHandler()).with_dead_letters()


def test_with_exception_handling_accepts_a_home_and_names_its_step(tmp_path: Path) -> None:
    with beam.Pipeline("DirectRunner") as p, DeadLetters(str(tmp_path)) as dead:
        good = (
            p
            | beam.Create(["1", "x"]).with_output_types(str)
            | "parse" >> beam.Map(int).with_exception_handling(error_handler=dead)
        )
        assert_that(good, equal_to([1]))
    (letter,) = letters_in(tmp_path)
    assert letter["stage"] == "parse"
    assert letter["error_type"] == "ValueError"
    assert letter["error_message"] == "invalid literal for int() with base 10: 'x'"
    assert "Traceback" in letter["traceback"]
    assert decode_payload(letter["payload"], letter["payload_coder"]) == "x"


def test_with_error_handler_accepts_a_home_beside_stages(tmp_path: Path) -> None:
    with beam.Pipeline("DirectRunner") as p, DeadLetters(str(tmp_path)) as dead:
        texts = p | beam.Create(["1", "x"])
        _ = texts | "beam" >> beam.Map(int).with_error_handler(dead)
        _ = texts | "ours" >> Stage(beam.Map(int), dead_letters=dead)
    assert sorted(letter["stage"] for letter in letters_in(tmp_path)) == ["beam", "ours"]


def test_failures_of_asgarde_become_dead_letters(tmp_path: Path) -> None:
    with beam.Pipeline("DirectRunner") as p, DeadLetters(str(tmp_path)) as dead:
        texts = p | beam.Create(["1", "x"])
        composed = CollectionComposer.of(texts).map("parse", int)
        good, failures = composed.outputs, composed.failures
        assert_that(good, equal_to([1]))
        dead.add_error_pcollection(failures)
    (letter,) = letters_in(tmp_path)
    assert letter["error_type"] == "ValueError"
    assert letter["error_message"] == "invalid literal for int() with base 10: 'x'"
    assert letter["payload_text"] == "x"
    assert letter["stage"] == "parse"


def test_a_stage_around_a_transform_with_exception_handling_keeps_both_outputs() -> None:
    with beam.Pipeline("DirectRunner") as p:
        handled = beam.Map(int).with_exception_handling()
        result = p | beam.Create(["1", "x"]) | "parse" >> Stage(handled)
        assert_that(result.good, equal_to([1]), label="good")
        elements = result.bad | beam.Map(lambda bad: bad[0])
        assert_that(elements, equal_to(["x"]), label="bad")
