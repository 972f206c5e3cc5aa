"""DoFns that process batches, and those that give them; Beam reads their annotations as they are."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pytest

import beam_obs as obs
from tests.running import observed, run

NUMBERS = list(range(1, 9))


class Inverting(beam.DoFn):
    """Takes batches of numpy's, gives batches."""

    def process_batch(self, batch: np.ndarray) -> Iterator[np.ndarray]:
        if not batch.all():
            raise ZeroDivisionError("a zero in the batch")
        yield 840 // batch

    def infer_output_type(self, input_type: Any) -> Any:
        return np.int64


class GivingElements(beam.DoFn):
    @beam.DoFn.yields_elements
    def process_batch(self, batch: list[int]) -> Iterator[int]:
        for number in batch:
            yield 840 // number


class Lists(beam.DoFn):
    def process_batch(self, batch: list[int]) -> Iterator[list[int]]:
        yield [840 // number for number in batch]

    def infer_output_type(self, input_type: Any) -> Any:
        return int


class Either(beam.DoFn):
    """Elements one by one, or batches where there are any."""

    def process(self, number: np.int64) -> Iterator[np.int64]:
        yield self.invert(number)

    def process_batch(self, batch: np.ndarray) -> Iterator[np.ndarray]:
        yield self.invert(batch)

    def invert(self, numbers: Any) -> Any:
        if not np.all(numbers):
            raise ZeroDivisionError("a zero")
        return 840 // numbers

    def infer_output_type(self, input_type: Any) -> Any:
        return input_type


class GivingBatches(beam.DoFn):
    @beam.DoFn.yields_batches
    def process(self, number: np.int64) -> Iterator[np.ndarray]:
        yield np.array([840 // int(number)] * 2)

    def infer_output_type(self, input_type: Any) -> Any:
        return np.int64


class WithParameters(beam.DoFn):
    def process_batch(
        self, batch: list[int], more: Any, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[list[Any]]:
        yield [(number, more, str(window)) for number in batch]


class Expanding(beam.DoFn):
    """More and fewer outputs than inputs."""

    def process_batch(self, batch: list[int]) -> Iterator[list[int]]:
        if 1 in batch:
            yield batch * 2
        yield [number for number in batch if number > 6]

    def infer_output_type(self, input_type: Any) -> Any:
        return int


def numbers(p: beam.Pipeline, found: Any, kind: Any) -> Any:
    return p | beam.Create(found) | "typed" >> beam.Map(kind).with_output_types(kind)


BATCHING = {
    "numpy": (np.int64, lambda: beam.ParDo(Inverting())),
    "elements": (int, lambda: beam.ParDo(GivingElements())),
    "lists": (int, lambda: beam.ParDo(Lists())),
    "either": (np.int64, lambda: beam.ParDo(Either())),
    "giving batches": (np.int64, lambda: beam.ParDo(GivingBatches())),
    "parameters": (int, lambda: beam.ParDo(WithParameters(), "more")),
    "expanding": (int, lambda: beam.ParDo(Expanding())),
}


@pytest.mark.parametrize("name", BATCHING)
def test_batches_give_what_they_give_without_a_stage(name: str) -> None:
    kind, make = BATCHING[name]
    staged = run(lambda p: numbers(p, NUMBERS, kind) | observed(make()))
    plain = run(lambda p: numbers(p, NUMBERS, kind) | make())
    assert staged.letters == []
    assert staged.values() == plain.values()
    assert staged.types["main"] == plain.types["main"]


@pytest.mark.parametrize("name", ["numpy", "elements", "lists", "either", "giving batches"])
def test_of_a_failing_batch_only_the_bad_elements_are_dead_letters(name: str) -> None:
    kind, make = BATCHING[name]
    staged = run(lambda p: numbers(p, [4, 0, 2, 0], kind) | observed(make()))
    assert staged.values() == sorted([210, 420] * (2 if name == "giving batches" else 1))
    assert {letter.payload_text for letter in staged.letters} <= {"0", "np.int64(0)"}
    assert len(staged.letters) == 2


def test_a_failing_batch_without_a_home_fails_the_run() -> None:
    with pytest.raises(ZeroDivisionError, match="a zero in the batch"):
        run(lambda p: numbers(p, [4, 0], np.int64) | "step" >> obs.Stage(beam.ParDo(Inverting())))


def test_two_stages_of_batches_follow_each_other() -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        first = numbers(p, NUMBERS, np.int64) | "first" >> wrap(beam.ParDo(Inverting()))
        return first | "second" >> wrap(beam.ParDo(Inverting()))

    plain = run(lambda p: build(p, lambda one: one)).values()

    def staged(p: beam.Pipeline) -> Any:
        first, dead = (
            numbers(p, NUMBERS, np.int64) | "first" >> obs.Stage(beam.ParDo(Inverting())).with_dead_letters()
        )
        second, more = first | "second" >> obs.Stage(beam.ParDo(Inverting())).with_dead_letters()
        return {"main": second, "dead": dead, "more": more}

    with_home = run(staged)
    assert with_home.values() == plain
    assert (with_home.counts("first").in_, with_home.counts("first").out) == (8, 8)
    assert (with_home.counts("second").in_, with_home.counts("second").out) == (8, 8)


def test_counts_of_batches_are_of_elements() -> None:
    counts = run(lambda p: numbers(p, [4, 0, 2, 0], np.int64) | observed(beam.ParDo(Inverting()))).counts()
    assert (counts.in_, counts.out, counts.dead) == (4, 2, 2)


def test_windows_of_batches_are_kept() -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        timed = numbers(p, NUMBERS, int) | beam.Map(
            lambda number: beam.window.TimestampedValue(number, number)
        )
        whole = timed | "whole" >> beam.Map(int).with_output_types(int)
        return whole | beam.WindowInto(beam.window.FixedWindows(3)) | wrap(beam.ParDo(Lists()))

    assert (
        run(lambda p: build(p, observed)).emitted["main"]
        == run(lambda p: build(p, lambda x: x)).emitted["main"]
    )


def test_a_batch_whose_generator_fails_late_is_tried_one_by_one() -> None:
    class Late(beam.DoFn):
        def process_batch(self, batch: list[int]) -> Iterator[list[int]]:
            yield batch
            if 3 in batch:
                raise ValueError("late")

        def infer_output_type(self, input_type: Any) -> Any:
            return int

    outcome = run(lambda p: numbers(p, [1, 2, 3, 4], int) | observed(beam.ParDo(Late())))
    assert (outcome.values(), outcome.refused) == ([1, 2, 4], ["3"])
