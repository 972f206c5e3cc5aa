"""What is wrong with a Stage is said when the pipeline is built: where it was made, and what to write."""

from __future__ import annotations

import pathlib
import re
import traceback
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.error_handling import CollectingErrorHandler

import beam_obs as obs

HERE = rf"{__file__}:\d+"


def test_a_stage_without_a_label_is_refused() -> None:
    numbers = beam.Pipeline() | beam.Create([1])
    with pytest.raises(obs.UsageError, match=rf'{HERE} has no label.*write "parse" >> obs.Stage'):
        _ = numbers | obs.Stage(beam.Map(str))


def test_a_stage_without_a_label_inside_a_composite_is_refused() -> None:
    class Clean(beam.PTransform):
        def expand(self, numbers: Any) -> Any:
            return numbers | obs.Stage(beam.Map(str))

    with pytest.raises(obs.UsageError, match=rf"{HERE} has no label"):
        _ = beam.Pipeline() | beam.Create([1]) | "clean" >> Clean()


@pytest.mark.parametrize("wrong", [int, lambda number: number, None, 3, "parse", beam.Map])
def test_what_is_no_transform_is_refused(wrong: Any) -> None:
    with pytest.raises(obs.UsageError, match=rf"{HERE} got .*obs.Stage\(beam.Map\(parse\)\)"):
        obs.Stage(wrong)


@pytest.mark.parametrize("wrong", ["folder", 3, beam.Map(str), obs.DeadLetters])
def test_a_home_of_a_wrong_type_is_refused(wrong: Any) -> None:
    with pytest.raises(obs.UsageError, match=rf"(?s){HERE} got dead_letters=.*with_dead_letters\(\)"):
        obs.Stage(beam.Map(str), dead_letters=wrong)


@pytest.mark.parametrize("home", [obs.DeadLetters("folder"), CollectingErrorHandler()])
def test_two_homes_are_refused(home: Any) -> None:
    with pytest.raises(obs.UsageError, match=rf"{HERE} has dead_letters= and with_dead_letters\(\)"):
        obs.Stage(beam.Map(str), dead_letters=home).with_dead_letters()


def test_a_stage_on_a_pipeline_is_refused() -> None:
    with pytest.raises(obs.UsageError, match=rf"(?s)'parse' \(made at {HERE}\) needs a PCollection"):
        _ = beam.Pipeline() | "parse" >> obs.Stage(beam.Map(str))


def test_a_label_used_twice_is_refused_as_beam_does() -> None:
    numbers = beam.Pipeline() | beam.Create([1])
    _ = numbers | "parse" >> obs.Stage(beam.Map(str))
    with pytest.raises(RuntimeError, match=r"label \"parse\" already exists"):
        _ = numbers | "parse" >> obs.Stage(beam.Map(str))


class Parse(beam.DoFn):  # type: ignore[misc]
    def process(self, line: str) -> list[int]:
        return [int(line)]


@pytest.mark.parametrize("wrong", [Parse, Parse()])
def test_a_dofn_that_is_no_transform_yet_is_refused(wrong: Any) -> None:
    with pytest.raises(obs.UsageError, match=rf"{HERE} got .*obs.Stage\(beam.ParDo\(Parse\(\)\)\)"):
        obs.Stage(wrong)


@pytest.mark.parametrize(
    "stage",
    [
        lambda: obs.Stage(obs.Stage(beam.Map(int))),
        lambda: obs.Stage("parse" >> obs.Stage(beam.Map(int))),
        lambda: obs.Stage("plausible" >> obs.Check(obs.not_null("a"))),
    ],
)
def test_a_stage_put_around_a_stage_is_refused(stage: Any) -> None:
    with pytest.raises(obs.UsageError, match=rf"{HERE} got .*one of them is enough"):
        stage()


def test_results_with_dead_letters_can_be_flattened() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        both = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
        kinds = both | "both" >> beam.Flatten() | beam.Map(lambda one: type(one).__name__)
        assert_that(kinds, equal_to(["int", "DeadLetter"]))


def test_assumptions_in_a_list_are_refused() -> None:
    with pytest.raises(obs.UsageError, match=r"got a list: give its 2 assumptions one by one, obs.Check\(\*"):
        obs.Check([obs.not_null("a"), obs.not_null("b")])  # type: ignore[arg-type]


HOMES = (
    r"`beam-obs run` or obs.Pipeline .*`\.with_dead_letters\(\)` .*`dead_letters=obs\.DeadLetters\(folder\)`"
)


@pytest.mark.parametrize(
    "step",
    [
        lambda p: p | beam.Create(["x"]) | "step" >> obs.Stage(beam.Map(int)),
        lambda p: p | beam.Create(["x"]) | "step" >> obs.Stage(beam.FlatMap(lambda text: [int(text)])),
        lambda p: p | beam.Create(["x"]) | "step" >> obs.Stage(beam.ParDo(Parse())),
        lambda p: p | beam.Create([{"a": 1}]) | "step" >> obs.Check(obs.between("a", 5)),
        lambda p: p | beam.Create([1j]) | "step" >> obs.WriteToJson("out"),
        lambda p: p | "step" >> obs.ReadFromCsv("torn.csv"),
    ],
)
def test_a_refusal_without_a_home_names_the_homes_there_are(step: Any) -> None:
    pathlib.Path("torn.csv").write_text("a,b\n1\n")
    with pytest.raises(Exception, match="step") as raised, beam.Pipeline("FnApiRunner") as p:
        step(p)
    told = "".join(traceback.format_exception(raised.value))
    assert re.search(rf"refused by stage 'step', whose dead letters have no home: use {HOMES}", told)


def test_a_refusal_without_a_home_is_the_error_that_the_code_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"), beam.Pipeline("FnApiRunner") as p:
        _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(int))
