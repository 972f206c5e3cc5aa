"""Where Beam's `with_exception_handling` is not right, a Stage is: each test runs both.

The rows of docs/exception-handling.md, in its order. A test that fails in its first half says that this
version of Beam has mended the defect: take the row out.
"""

# ruff: noqa: B008 - Beam wants its parameters as defaults.

from __future__ import annotations

import pathlib
import re
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.runners.portability import prism_runner
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.userstate import CombiningValueStateSpec
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_obs as obs
from benchmarks.measure import process_seconds
from tests.running import named, observed, run


class GivingNone(beam.DoFn):
    def process(self, number):  # type: ignore[no-untyped-def]
        if number == 0:
            raise ValueError("zero")


class WithTime(beam.DoFn):
    def process(self, number, time=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):  # type: ignore[no-untyped-def]
        if number == 0:
            raise ValueError("zero")
        yield number, time.micros, str(window)


class Ranges(RestrictionProvider):
    def initial_restriction(self, size: int) -> OffsetRange:
        return OffsetRange(0, size)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, size: int, restriction: OffsetRange) -> int:
        return restriction.size()


class Splittable(beam.DoFn):
    def process(self, size, tracker=beam.DoFn.RestrictionParam(Ranges())):  # type: ignore[no-untyped-def]
        position = tracker.current_restriction().start
        while tracker.try_claim(position):
            yield position
            position += 1


class Stateful(beam.DoFn):
    SUM = CombiningValueStateSpec("sum", sum)

    def process(self, pair, total=beam.DoFn.StateParam(SUM)):  # type: ignore[no-untyped-def]
        if pair[1] == 0:
            raise ValueError("zero")
        total.add(pair[1])
        yield pair[0], total.read()


class InBatches(beam.DoFn):
    def process_batch(self, batch):  # type: ignore[no-untyped-def]
        if 0 in batch:
            raise ValueError("zero")
        yield batch

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        return list[int]

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return list[int]

    def infer_output_type(self, input_type: Any) -> Any:
        return int


class FailingAtTheEnd(beam.DoFn):
    def process(self, number):  # type: ignore[no-untyped-def]
        yield number

    def finish_bundle(self) -> None:
        raise ValueError("the end")


class Inverse(beam.PTransform):
    def expand(self, numbers: Any) -> Any:
        return numbers | "invert" >> beam.Map(lambda number: 1 // number)


class AddInverses(beam.CombineFn):
    def create_accumulator(self) -> float:
        return 0.0

    def add_input(self, accumulator: float, number: int) -> float:
        return accumulator + 1 / number

    def merge_accumulators(self, accumulators: Any) -> float:
        return sum(accumulators)

    def extract_output(self, accumulator: float) -> float:
        return accumulator


def with_beam(elements: Any, transform: Any, into: Any = None) -> Any:
    """Outputs and refused elements with Beam's own exception handling."""

    def build(p: beam.Pipeline) -> Any:
        pcoll = p | beam.Create(elements) if into is None else p | beam.Create(elements) | into
        good, bad = pcoll | "step" >> transform.with_exception_handling()
        return {**named(good), "bad": bad}

    return run(build)


def with_stage(elements: Any, transform: Any, into: Any = None) -> Any:
    def build(p: beam.Pipeline) -> Any:
        pcoll = p | beam.Create(elements) if into is None else p | beam.Create(elements) | into
        return pcoll | observed(transform)

    return run(build)


def test_1_a_dofn_that_returns_none_has_its_bad_elements_refused_only() -> None:
    assert len(with_beam([0, 1, 2], beam.ParDo(GivingNone())).values("bad")) == 3
    assert with_stage([0, 1, 2], beam.ParDo(GivingNone())).refused == ["0"]


def test_2_a_dofn_gets_timestamps_and_windows() -> None:
    into = beam.Map(lambda number: TimestampedValue(number, 7)) | beam.WindowInto(FixedWindows(10))
    of_beam = with_beam([0, 1], beam.ParDo(WithTime()), into)
    assert (1, 7_000_000, "[0.0, 10.0)") not in of_beam.values()
    assert len(of_beam.values("bad")) == 2
    ours = with_stage([0, 1], beam.ParDo(WithTime()), into)
    assert (ours.values(), ours.refused) == ([(1, 7_000_000, "[0.0, 10.0)")], ["0"])


def test_3_a_splittable_dofn_works() -> None:
    of_beam = with_beam([3], beam.ParDo(Splittable()))
    assert (of_beam.values(), len(of_beam.values("bad"))) == ([], 1)
    ours = with_stage([3], beam.ParDo(Splittable()))
    assert (ours.values(), ours.letters) == ([0, 1, 2], [])


def test_4_a_stateful_dofn_can_be_built_and_has_its_bad_elements_refused() -> None:
    pairs = [("a", 1), ("a", 0), ("a", 2)]
    with pytest.raises(AttributeError):
        with_beam(pairs, beam.ParDo(Stateful()))
    ours = with_stage(pairs, beam.ParDo(Stateful()))
    assert (ours.values(), ours.refused) == ([("a", 1), ("a", 3)], ["('a', 0)"])


def test_5_a_failing_batch_and_a_failing_end_of_bundle_are_dead_letters() -> None:
    into = beam.Map(lambda number: number).with_output_types(int)
    with pytest.raises(Exception, match=r"zero|process"):
        with_beam([0, 1, 2], beam.ParDo(InBatches()), into)
    ours = with_stage([0, 1, 2], beam.ParDo(InBatches()), into)
    assert (ours.values(), ours.refused) == ([1, 2], ["0"])

    with pytest.raises(ValueError, match="the end"):
        with_beam([1], beam.ParDo(FailingAtTheEnd()))
    assert with_stage([1], beam.ParDo(FailingAtTheEnd())).letter.error_message == "the end"


def test_6_a_composite_and_a_combine_have_their_bad_elements_refused() -> None:
    for transform in (Inverse(), beam.CombineGlobally(AddInverses())):
        assert not hasattr(transform, "with_exception_handling")
    assert with_stage([0, 1], Inverse()).refused == ["0"]
    ours = with_stage([0, 1, 2], beam.CombineGlobally(AddInverses()))
    assert (ours.values(), len(ours.letters)) == ([1.5], 1)


def test_7_a_dead_letter_tells_step_time_and_run() -> None:
    (bad,) = with_beam(["x"], beam.Map(int)).values("bad")
    element, (kind, text, lines) = bad
    assert (element, kind, isinstance(lines, list)) == ("x", ValueError, True)
    assert not any("step" in str(part) for part in (element, kind, text))
    letter = with_stage(["x"], beam.Map(int)).letter
    assert (letter.stage, letter.payload_text, letter.attempt) == ("step", "x", 1)
    assert letter.failed_at > 1.7e15
    assert letter.run


def test_8_the_pipeline_stays_on_the_runner_that_beam_would_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam tries Prism first; here it is only noted that it would have."""
    chosen: list[str] = []

    def note(runner: Any, pipeline: Any, options: Any) -> Any:
        chosen.append("Prism")
        raise RuntimeError("not here")

    monkeypatch.setattr(prism_runner.PrismRunner, "run_pipeline", note)

    def is_chosen(transform: Any) -> bool:
        chosen.clear()
        run(lambda p: named(p | beam.Create(["1"]) | "step" >> transform), runner="DirectRunner")
        return chosen == ["Prism"]

    assert is_chosen(beam.Map(int))
    assert not is_chosen(beam.Map(int).with_exception_handling())
    assert is_chosen(obs.Stage(beam.Map(int)).with_dead_letters())


@pytest.mark.slow
def test_9_the_cost_for_each_element_is_a_fraction() -> None:
    """A coarse check of what `make bench-stage` measures: at least ten times cheaper on a quiet machine."""

    def seconds(wrap: Any) -> float:
        def build(p: beam.Pipeline) -> Any:
            made = p | beam.Impulse() | "count" >> beam.FlatMap(lambda _: range(120_000))
            for number in range(5):
                made = named(made | f"step {number}" >> wrap(beam.Map(lambda one: one)))["main"]
            return {"count": made | beam.combiners.Count.Globally()}

        return min(process_seconds(lambda: run(build)) for _ in range(2))

    bare = seconds(lambda transform: transform)
    ours = seconds(lambda transform: obs.Stage(transform).with_dead_letters())
    beams = seconds(lambda transform: transform.with_exception_handling())
    assert beams - bare > 3 * (ours - bare)


class Texts(beam.PTransform):
    def expand(self, letters: Any) -> Any:
        return letters | beam.Map(lambda letter: getattr(letter, "payload_text", letter[0]))


def test_10_two_homes_live_in_one_pipeline() -> None:
    def with_handlers(p: beam.Pipeline) -> Any:
        texts = p | beam.Create(["x"]).with_output_types(str)
        with ErrorHandler(Texts()) as first:
            _ = texts | "one" >> beam.Map(int).with_exception_handling(error_handler=first)
        with ErrorHandler(Texts()) as second:
            _ = texts | "two" >> beam.Map(int).with_exception_handling(error_handler=second)
        return {"1": first.output(), "2": second.output()}

    def with_homes(p: beam.Pipeline) -> Any:
        texts = p | beam.Create(["x"])
        with obs.DeadLetters(Texts()) as first:
            _ = texts | "one" >> obs.Stage(beam.Map(int), dead_letters=first)
        with obs.DeadLetters(Texts()) as second:
            _ = texts | "two" >> obs.Stage(beam.Map(int), dead_letters=second)
        return {"1": first.result, "2": second.result}

    with pytest.raises(RuntimeError, match="already exists"):
        run(with_handlers)
    outcome = run(with_homes)
    assert (outcome.values("1"), outcome.values("2")) == (["x"], ["x"])


def test_11_a_home_that_no_stage_uses_is_no_error() -> None:
    def build(home: Any) -> None:
        p = beam.Pipeline("FnApiRunner")
        with home:
            _ = p | beam.Create([1])
        p.run().wait_until_finish()

    with pytest.raises(Exception):  # noqa: B017, PT011 - an IndexError or ValueError of no words
        build(ErrorHandler(Texts()))
    build(obs.DeadLetters(Texts()))


def test_12_stages_of_different_windows_share_a_home() -> None:
    def branches(p: beam.Pipeline, parse: Any) -> None:
        texts = p | beam.Create(["x"]).with_output_types(str)
        _ = texts | "one" >> parse()
        _ = texts | beam.WindowInto(FixedWindows(10)) | "two" >> parse()

    def with_handler(p: beam.Pipeline) -> Any:
        with ErrorHandler(Texts()) as handler:
            branches(p, lambda: beam.Map(int).with_exception_handling(error_handler=handler))
        return handler.output()

    def with_home(p: beam.Pipeline) -> Any:
        with obs.DeadLetters(Texts()) as dead:
            branches(p, lambda: obs.Stage(beam.Map(int), dead_letters=dead))
        return dead.result

    with pytest.raises(Exception):  # noqa: B017, PT011 - a coder's error, in the middle of the run
        run(with_handler)
    assert run(with_home).values() == ["x", "x"]


def test_every_row_of_the_page_has_its_test() -> None:
    page = pathlib.Path(__file__).parents[2] / "docs" / "exception-handling.md"
    rows = re.findall(r"^\| (\d+) \|", page.read_text(), flags=re.MULTILINE)
    tests = [name for name in globals() if re.match(r"test_\d+_", name)]
    assert sorted(rows, key=int) == [
        name.split("_")[1] for name in sorted(tests, key=lambda n: int(n.split("_")[1]))
    ]
