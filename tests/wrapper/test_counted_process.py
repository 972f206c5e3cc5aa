"""What a user's function may give, and what becomes of it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.pvalue import TaggedOutput

import beam_obs as obs
from beam_obs.records.run_context import observation_of
from beam_obs.weaving.hook import weaving
from tests.running import bare, observed, run, through


class Giving(beam.DoFn):
    """Gives what `make` makes of an element."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def process(self, element):  # type: ignore[no-untyped-def]
        return self._make(element)


def late(number: int) -> Iterator[int]:
    """Gives 0, 1, ... and fails after as many where the number is odd."""
    yield from range(number)
    if number % 2:
        raise ValueError(f"late after {number}")


LATE = [0, 1, 2, 3, 5]


@pytest.mark.parametrize("make", [lambda: beam.FlatMap(late), lambda: beam.ParDo(Giving(late))])
def test_a_generator_that_fails_late_keeps_nothing_by_default(make: Any) -> None:
    outcome = through(LATE, make())
    assert (outcome.values(), outcome.refused) == ([0, 1], ["1", "3", "5"])


@pytest.mark.parametrize("make", [lambda: beam.FlatMap(late), lambda: beam.ParDo(Giving(late))])
def test_a_generator_that_fails_late_keeps_what_it_gave_with_partial(make: Any) -> None:
    outcome = through(LATE, make(), partial=True)
    assert outcome.values() == sorted([0, 1, *range(1), *range(3), *range(5)])
    assert outcome.refused == ["1", "3", "5"]


@pytest.mark.parametrize(
    "lazily",
    [
        lambda number: (one for one in late(number)),
        lambda number: map(int, late(number)),
        lambda number: itertools.chain(late(number)),
        lambda number: Lazily(number),
    ],
    ids=["generator expression", "map", "chain", "an iterable of the user's"],
)
def test_any_lazy_result_that_fails_late_keeps_nothing(lazily: Any) -> None:
    outcome = through(LATE, beam.ParDo(Giving(lazily)))
    assert (outcome.values(), outcome.refused) == ([0, 1], ["1", "3", "5"])


class Lazily:
    def __init__(self, number: int) -> None:
        self._number = number

    def __iter__(self) -> Iterator[int]:
        return late(self._number)


def test_a_generator_with_tags_that_fails_late_keeps_nothing_of_any_tag() -> None:
    def tagged(number: int) -> Iterator[Any]:
        yield number
        yield TaggedOutput("side", number)
        if number % 2:
            raise ValueError("late")

    outcome = through([1, 2], beam.ParDo(Giving(tagged)).with_outputs("side", main="main"))
    assert (outcome.values(), outcome.values("side"), outcome.refused) == ([2], [2], ["1"])


def capped(elements: list[Any], transform: Any, cap: int = 10, **arguments: Any) -> Any:
    pipeline = beam.Pipeline("FnApiRunner")
    observation_of(pipeline).settings.output_cap = cap
    return run(lambda p: p | beam.Create(elements) | observed(transform, **arguments), pipeline=pipeline)


@pytest.mark.parametrize(("outputs", "kept"), [(9, 0), (13, 13), (25, 25)])
@pytest.mark.parametrize("lazily", [late, Lazily, lambda number: map(int, late(number))])
def test_all_or_nothing_holds_up_to_the_cap(outputs: int, kept: int, lazily: Any) -> None:
    outcome = capped([outputs], beam.FlatMap(lazily))
    assert (len(outcome.values()), outcome.refused) == (kept, [str(outputs)])


@pytest.mark.parametrize("outputs", [8, 10, 12, 40])
def test_beyond_the_cap_nothing_is_lost_or_given_twice(outputs: int) -> None:
    outcome = capped([outputs], beam.FlatMap(late))
    assert (sorted(outcome.values()), outcome.letters) == (list(range(outputs)), [])
    assert outcome.counts().out == outputs


def test_beyond_the_cap_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    capped([12, 14], beam.FlatMap(late))
    said = [record.getMessage() for record in caplog.records if "more than 10 outputs" in record.getMessage()]
    assert len(said) == 1
    assert "'step'" in said[0]


def test_an_endless_generator_is_passed_on_as_it_comes() -> None:
    """It ends here because a step further down raises, which is not taken for a failure of the generator."""

    def enough(number: int) -> int:
        if number > 100:
            raise StopAsyncIteration("enough")
        return number

    def build(p: beam.Pipeline) -> Any:
        observation_of(p).settings.output_cap = 10
        good, dead = (
            p
            | beam.Create([1])
            | observed(beam.FlatMap(lambda start: (number for number in itertools.count(start))))
        )
        return {"main": good | "enough" >> beam.Map(enough), "dead": dead}

    with pytest.raises(StopAsyncIteration, match=r"enough.*while running 'enough'"):
        run(build)


@pytest.mark.parametrize("result", [3, 2.5, object, True], ids=str)
def test_a_result_that_is_not_iterable_is_a_dead_letter(result: Any) -> None:
    outcome = through(["x"], beam.ParDo(Giving(lambda _: result)))
    assert (outcome.values(), outcome.letter.error_type) == ([], "TypeError")
    assert "not iterable" in outcome.letter.error_message


@pytest.mark.parametrize("result", ["text", b"bytes", {"a": 1}], ids=str)
@pytest.mark.parametrize("of", [lambda give: beam.ParDo(Giving(give)), beam.FlatMap], ids=["DoFn", "FlatMap"])
def test_text_and_dicts_as_results_are_judged_as_beam_judges_them(of: Any, result: Any) -> None:
    try:
        expected, error = bare(["x"], of(lambda _: result)).values(), None
    except TypeError as caught:
        expected, error = [], str(caught)
    outcome = through(["x"], of(lambda _: result))
    assert outcome.values() == expected
    assert [letter.error_message for letter in outcome.letters] == (
        [error.split(" [while")[0]] if error else []
    )


@pytest.mark.parametrize(
    "result",
    [None, [], (), iter(()), {}.keys(), range(0), np.array([])],
    ids=["None", "list", "tuple", "iterator", "keys", "range", "array"],
)
def test_no_outputs_are_filtered_elements(result: Any) -> None:
    outcome = through(["x", "y"], beam.ParDo(Giving(lambda _: result)))
    counts = outcome.counts()
    assert (outcome.values(), counts.in_, counts.out, counts.dead, counts.filtered) == ([], 2, 0, 0, 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1, 2],
        lambda: (1, 2),
        lambda: {1, 2},
        lambda: range(1, 3),
        lambda: np.array([1, 2]),
        lambda: iter([1, 2]),
        lambda: (number for number in (1, 2)),
        lambda: {1: "x", 2: "y"}.keys(),
        lambda: type("List", (list,), {})([1, 2]),
    ],
)
def test_any_iterable_is_taken_apart(make: Any) -> None:
    outcome = through(["x"], beam.ParDo(Giving(lambda _: make())))
    assert (outcome.values(), outcome.counts().out) == ([1, 2], 2)


def test_a_result_whose_length_fails_is_a_dead_letter_or_taken_apart() -> None:
    class Odd(list):  # type: ignore[type-arg]
        def __len__(self) -> int:
            raise ValueError("no length")

    outcome = through(["x"], beam.ParDo(Giving(lambda _: Odd([1]))))
    assert outcome.counts().in_ == 1
    assert len(outcome.values()) + len(outcome.letters) == 1


def test_a_stop_iteration_in_a_function_is_a_dead_letter() -> None:
    def first(element: Any) -> Any:
        return next(iter(()))

    def generating(element: Any) -> Any:
        yield next(iter(()))

    assert through(["x"], beam.Map(first)).letter.error_type == "StopIteration"
    assert through(["x"], beam.FlatMap(generating)).letter.error_type == "RuntimeError"
    assert through(["x"], beam.FlatMap(generating), partial=True).letter.error_type == "RuntimeError"


@pytest.mark.parametrize(
    ("transform", "elements"),
    [
        (lambda: beam.Map(lambda number: 1 // number), [0, 1]),
        (lambda: beam.Map(lambda number, one: one // number, 1), [0, 1]),
        (lambda: beam.MapTuple(lambda number, one: one // number), [(0, 1), (1, 1)]),
        (lambda: beam.MapTuple(lambda number, one, two=2: one // number, 3), [(0, 1), (1, 1)]),
        (lambda: beam.Filter(lambda number: 1 // number), [0, 1]),
        (lambda: beam.Filter(lambda number, one: one // number, 1), [0, 1]),
        (lambda: beam.FlatMap(lambda number: [1 // number]), [0, 1]),
        (lambda: beam.FlatMap(lambda number, one: [one // number], 1), [0, 1]),
        (lambda: beam.FlatMapTuple(lambda number, one: [one // number]), [(0, 1), (1, 1)]),
        (lambda: beam.ParDo(Giving(lambda number: [1 // number])), [0, 1]),
        (lambda: beam.ParDo(lambda number: [1 // number]), [0, 1]),
        (lambda: beam.Map(lambda number, time=beam.DoFn.TimestampParam: 1 // number), [0, 1]),
    ],
)
@pytest.mark.parametrize("partial", [False, True])
def test_every_kind_of_function_refuses_the_bad_element_only(
    transform: Any, elements: Any, partial: bool
) -> None:
    outcome = through(elements, transform(), partial=partial)
    assert (len(outcome.values()), outcome.letter.error_type) == (1, "ZeroDivisionError")
    assert outcome.letter.payload_text == str(elements[0])
    counts = outcome.counts()
    assert (counts.in_, counts.out, counts.dead, counts.filtered) == (2, 1, 1, 0)


@pytest.mark.parametrize(
    "transform",
    [lambda: beam.Map(int), lambda: beam.FlatMap(lambda text: [int(text)])],
    ids=["Map", "FlatMap"],
)
def test_without_a_home_the_first_bad_element_fails_the_run_as_without_a_stage(transform: Any) -> None:
    with pytest.raises(ValueError, match=r"invalid literal.*while running 'step"):
        run(lambda p: p | beam.Create(["x"]) | "step" >> obs.Stage(transform()))


@pytest.mark.parametrize("rate", [0, 1, 2, 3, 128])
@pytest.mark.parametrize(
    "transform",
    [
        lambda: beam.Map(lambda number: 12 // number),
        lambda: beam.Map(lambda number, twelve: twelve // number, 12),
        lambda: beam.Filter(lambda number: 12 // number > 3),
        lambda: beam.FlatMap(lambda number: [12 // number] * 2),
        lambda: beam.FlatMap(lambda number, twelve: (twelve // number for _ in range(2)), 12),
        lambda: beam.ParDo(Giving(lambda number: late(12 // number))),
    ],
)
def test_timing_changes_neither_results_nor_counts(transform: Any, rate: int) -> None:
    numbers = [1, 2, 0, 3, 4, 0, 5, 12]
    pipeline = beam.Pipeline("FnApiRunner")
    observation_of(pipeline).settings.sample_rate = rate
    outcome = run(lambda p: p | beam.Create(numbers) | observed(transform()), pipeline=pipeline)
    plain = through(numbers, transform())
    assert (outcome.values(), outcome.refused) == (plain.values(), plain.refused)
    counts, counts_of_plain = outcome.counts(), plain.counts()
    timed = counts.latency.count
    assert counts == type(counts)(**{**counts_of_plain.__dict__, "latency": counts.latency})
    assert timed == (0 if rate == 0 else -(-len(numbers) // rate))


class OfOne(Sequence[int]):
    """A sequence of the user's with one item, which fails when it is looked at where the number is odd."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __len__(self) -> int:
        return 1

    def __getitem__(self, at: Any) -> Any:
        if self._number % 2:
            raise ValueError(f"{self._number} is odd")
        return [self._number][at]


@pytest.mark.parametrize("woven", [False, True])
@pytest.mark.parametrize("make", [lambda: beam.FlatMap(OfOne), lambda: beam.ParDo(Giving(OfOne))])
def test_a_sequence_of_the_users_with_one_item_is_taken_as_a_list_is(make: Any, woven: bool) -> None:
    with weaving() if woven else contextlib.nullcontext():
        outcome = through([0, 1, 2, 3], make())
    assert (outcome.values(), outcome.refused) == ([0, 2], ["1", "3"])
