"""Whatever a DoFn may do works under a Stage as without it."""

# ruff: noqa: B008 - Beam wants its parameters as defaults.

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder, VarIntCoder
from apache_beam.pvalue import TaggedOutput
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    CombiningValueStateSpec,
    ReadModifyWriteStateSpec,
    SetStateSpec,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import FixedWindows, GlobalWindow, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.metrics import live
from beam_obs.records.run_context import observation_of
from tests.running import Outcome, bare, observed, run, run_in_bundles, through

PAIRS = [("a", 1), ("b", 2), ("a", 3)]


def both(build: Any, *options: str, run_with: Any = run) -> tuple[Outcome, Outcome]:
    """What `build(pipeline, wrap)` gives with a Stage and without."""
    staged = run_with(lambda p: build(p, observed), *options)
    return staged, run_with(lambda p: build(p, lambda one: "step" >> one), *options)


class AskingForAll(beam.DoFn):
    def process(
        self,
        element: Any = beam.DoFn.ElementParam,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        windowed: Any = beam.DoFn.WindowedValueParam,
        pane: Any = beam.DoFn.PaneInfoParam,
        key: Any = beam.DoFn.KeyParam,
    ) -> Iterable[Any]:
        yield element, timestamp.micros, str(window), windowed.value, len(windowed.windows), pane.index, key


def asking_for_all(
    element: Any,
    timestamp: Any = beam.DoFn.TimestampParam,
    window: Any = beam.DoFn.WindowParam,
    pane: Any = beam.DoFn.PaneInfoParam,
) -> Any:
    return element, timestamp.micros, str(window), pane.index


class ElementInTheMiddle(beam.DoFn):
    def process(self, first, element=beam.DoFn.ElementParam, time=beam.DoFn.TimestampParam, last=0):  # type: ignore[no-untyped-def]
        yield first, element, time.micros, last


PARAMETERS = {
    "a DoFn": lambda: beam.ParDo(AskingForAll()),
    "a Map": lambda: beam.Map(asking_for_all),
    "a FlatMap": lambda: beam.FlatMap(lambda pair, time=beam.DoFn.TimestampParam: [pair, time.micros]),
    "a Filter": lambda: beam.Filter(lambda pair, time=beam.DoFn.TimestampParam: time.micros < 5e6),
    "a MapTuple": lambda: beam.MapTuple(
        lambda key, one, time=beam.DoFn.TimestampParam: (key, one, time.micros)
    ),
    "a callable": lambda: beam.ParDo(lambda pair, window=beam.DoFn.WindowParam: [(pair, str(window))]),
    "an element in the middle": lambda: beam.ParDo(ElementInTheMiddle(), "first", last=3),
    "an element in the middle of a Map": lambda: beam.Map(
        lambda suffix, pair=beam.DoFn.ElementParam: (suffix, pair), "suffix"
    ),
    "arguments and parameters": lambda: beam.Map(
        lambda pair, more, time=beam.DoFn.TimestampParam, named=None: (pair, more, time.micros, named),
        1,
        named=2,
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_without_a_stage(name: str) -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        pairs = p | beam.Create(PAIRS) | beam.Map(lambda pair: TimestampedValue(pair, pair[1] * 2))
        return pairs | beam.WindowInto(FixedWindows(4)) | wrap(PARAMETERS[name]())

    staged, plain = both(build)
    assert staged.letters == []
    assert staged.emitted["main"] == plain.emitted["main"]


def test_a_refused_element_in_the_middle_is_the_payload() -> None:
    class Refusing(beam.DoFn):
        def process(self, first, element=beam.DoFn.ElementParam):  # type: ignore[no-untyped-def]
            raise ValueError(first)

    letter = through(["bad"], beam.ParDo(Refusing(), "first")).letter
    assert (letter.payload_text, letter.error_message) == ("bad", "first")


def test_a_side_input_can_be_given_by_parameter_and_fail() -> None:
    def build(p: beam.Pipeline) -> Any:
        limit = beam.pvalue.AsSingleton(p | "limit" >> beam.Create([0]))
        return p | beam.Create([1]) | observed(beam.Map(lambda number, limit: number // limit, limit))

    assert run(build).letter.error_type == "ZeroDivisionError"


class Placing(beam.DoFn):
    def process(self, pair):  # type: ignore[no-untyped-def]
        yield TimestampedValue(pair, 7)
        yield WindowedValue(pair, 8, (GlobalWindow(),))
        yield TaggedOutput("side", TimestampedValue(pair, 9))
        yield TaggedOutput("side", pair)


def test_timestamped_and_windowed_results_keep_their_places() -> None:
    def placing() -> Any:
        return beam.ParDo(Placing()).with_outputs("side", main="main")

    staged = through(PAIRS, placing()).emitted
    assert staged == {**bare(PAIRS, placing()).emitted, "dead": []}
    assert {one.timestamp for one in staged["main"]} == {7_000_000, 8_000_000}


class Lifecycle(beam.DoFn):
    """Buffers elements and gives them when the bundle ends."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def setup(self) -> None:
        self.told.append("setup")

    def start_bundle(self) -> None:
        self.told.append("start")
        self.buffer: list[Any] = []

    def process(self, element):  # type: ignore[no-untyped-def]
        self.buffer.append(element)

    def finish_bundle(self):  # type: ignore[no-untyped-def]
        told = tuple(self.told)
        for element in self.buffer:
            yield WindowedValue((element, told), 3, (GlobalWindow(),))
            yield TaggedOutput("side", WindowedValue(element, 4, (GlobalWindow(),)))

    def teardown(self) -> None:
        assert "setup" in self.told


def test_setup_to_finish_bundle_are_called_and_give_as_without_a_stage() -> None:
    def lifecycle() -> Any:
        return beam.ParDo(Lifecycle()).with_outputs("side", main="main")

    staged = through(PAIRS, lifecycle()).emitted
    assert staged == {**bare(PAIRS, lifecycle()).emitted, "dead": []}
    assert [one.value[1] for one in staged["main"]] == [("setup", "start")] * 3


def test_teardown_is_called(tmp_path: Any) -> None:
    class Leaving(beam.DoFn):
        def process(self, path):  # type: ignore[no-untyped-def]
            self.path = path

        def teardown(self) -> None:
            open(self.path, "w").close()

    through([str(tmp_path / "left")], beam.ParDo(Leaving()))
    assert os.path.exists(tmp_path / "left")


def test_bundle_finalizers_are_called(tmp_path: Any) -> None:
    def leave(path: str) -> None:
        open(path, "w").close()

    class Finalized(beam.DoFn):
        def process(self, path, finalizer=beam.DoFn.BundleFinalizerParam):  # type: ignore[no-untyped-def]
            finalizer.register(lambda: leave(path))
            yield path

    through([str(tmp_path / "final")], beam.ParDo(Finalized()))
    assert os.path.exists(tmp_path / "final")


def test_setup_and_bundle_contexts_are_entered() -> None:
    import contextlib

    @contextlib.contextmanager
    def opened(name: str) -> Any:
        yield f"{name} opened"

    class WithContexts(beam.DoFn):
        def process(  # type: ignore[no-untyped-def]
            self,
            element,
            of_setup=beam.DoFn.SetupContextParam(lambda: opened("setup")),
            of_bundle=beam.DoFn.BundleContextParam(lambda: opened("bundle")),
        ):
            yield element, of_setup, of_bundle

    staged = through(["x"], beam.ParDo(WithContexts())).values()
    assert staged == bare(["x"], beam.ParDo(WithContexts())).values()
    assert staged == [("x", "setup opened", "bundle opened")]


class Counting(beam.DoFn):
    """Every kind of state."""

    BAG = BagStateSpec("bag", VarIntCoder())
    SUM = CombiningValueStateSpec("sum", sum)
    LAST = ReadModifyWriteStateSpec("last", VarIntCoder())
    SEEN = SetStateSpec("seen", StrUtf8Coder())

    def process(  # type: ignore[no-untyped-def]
        self,
        pair,
        bag=beam.DoFn.StateParam(BAG),
        total=beam.DoFn.StateParam(SUM),
        last=beam.DoFn.StateParam(LAST),
        seen=beam.DoFn.StateParam(SEEN),
    ):
        key, number = pair
        if number == 0:
            raise ValueError("nothing")
        bag.add(number)
        total.add(number)
        seen.add(key)
        last.write(max(number, last.read() or 0))
        yield key, sum(bag.read()), total.read(), last.read(), sorted(seen.read())


@pytest.mark.parametrize("run_with", [run, run_in_bundles])
def test_state_is_kept_as_without_a_stage(run_with: Any) -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        return p | beam.Create(PAIRS) | wrap(beam.ParDo(Counting()))

    staged, plain = both(build, run_with=run_with)
    assert staged.letters == []
    assert [one[1:] for one in staged.values()][-1:] == [one[1:] for one in plain.values()][-1:]
    assert len(staged.values()) == 3


def test_a_stateful_element_that_is_refused_is_a_dead_letter() -> None:
    outcome = through([("a", 1), ("a", 0), ("a", 2)], beam.ParDo(Counting()))
    assert (len(outcome.values()), outcome.refused) == (2, ["('a', 0)"])


class Timing(beam.DoFn):
    """Sets timers of event time, of processing time, and dynamic ones."""

    EVENT = TimerSpec("event", TimeDomain.WATERMARK)
    REAL = TimerSpec("real", TimeDomain.REAL_TIME)
    BAG = BagStateSpec("bag", VarIntCoder())

    def process(  # type: ignore[no-untyped-def]
        self,
        pair,
        event=beam.DoFn.TimerParam(EVENT),
        real=beam.DoFn.TimerParam(REAL),
        bag=beam.DoFn.StateParam(BAG),
    ):
        bag.add(pair[1])
        event.set(20)
        event.set(10, dynamic_timer_tag="ten")
        real.set(0)
        yield "process", pair[0]

    @on_timer(EVENT)
    def when_due(  # type: ignore[no-untyped-def]
        self,
        key=beam.DoFn.KeyParam,
        timestamp=beam.DoFn.TimestampParam,
        window=beam.DoFn.WindowParam,
        bag=beam.DoFn.StateParam(BAG),
        tag=beam.DoFn.DynamicTimerTagParam,
    ):
        if 0 in bag.read():
            raise ValueError(f"timer of {key}")
        yield "event", key, timestamp.micros, str(window), sorted(bag.read()), tag

    @on_timer(REAL)
    def now_and_then(self, key=beam.DoFn.KeyParam):  # type: ignore[no-untyped-def]
        yield "real", key


def timed_pairs(p: beam.Pipeline, pairs: list[Any] = PAIRS) -> Any:
    return p | beam.Create(pairs) | "times" >> beam.Map(lambda pair: TimestampedValue(pair, 5))


def test_timers_fire_as_without_a_stage() -> None:
    staged, plain = both(lambda p, wrap: timed_pairs(p) | wrap(beam.ParDo(Timing())))
    assert staged.letters == []
    assert staged.emitted["main"] == plain.emitted["main"]
    kinds = [one[0] for one in staged.values()]
    assert [kinds.count(kind) for kind in ("process", "event", "real")] == [3, 4, 2]


def test_timers_fire_in_a_stream_as_without_a_stage() -> None:
    def build(p: beam.Pipeline, wrap: Any) -> Any:
        stream = TestStream().add_elements([TimestampedValue(pair, 5) for pair in PAIRS])
        stream = stream.advance_watermark_to(50).advance_processing_time(5).advance_watermark_to_infinity()
        return p | stream.with_output_types(tuple[str, int]) | wrap(beam.ParDo(Timing()))

    staged, plain = both(build, "--streaming", run_with=run_in_bundles)
    assert staged.emitted["main"] == plain.emitted["main"]


def test_a_timer_that_fails_is_a_dead_letter_without_element() -> None:
    pairs = [("a", 0), ("b", 1)]
    outcome = run(lambda p: timed_pairs(p, pairs) | observed(beam.ParDo(Timing())))
    assert {letter.error_message for letter in outcome.letters} == {"timer of a"}
    assert {(letter.payload_coder, letter.payload_text) for letter in outcome.letters} == {("none", "")}
    assert {letter.event_time for letter in outcome.letters} == {10_000_000, 20_000_000}
    assert [one for one in outcome.values() if one[:2] == ("event", "b")]


def test_a_timer_that_fails_without_a_home_fails_the_run() -> None:
    import beam_obs as obs

    with pytest.raises(ValueError, match="timer of a"):
        run(lambda p: timed_pairs(p, [("a", 0)]) | "step" >> obs.Stage(beam.ParDo(Timing())))


class FailingIn(beam.DoFn):
    def __init__(self, method: str) -> None:
        self.method = method

    def setup(self) -> None:
        self.fail("setup")

    def start_bundle(self) -> None:
        self.fail("start_bundle")

    def process(self, element):  # type: ignore[no-untyped-def]
        yield element

    def finish_bundle(self) -> None:
        self.fail("finish_bundle")

    def fail(self, method: str) -> None:
        if method == self.method:
            raise ValueError(f"no {method}")


@pytest.mark.parametrize("method", ["setup", "start_bundle"])
@pytest.mark.parametrize("run_with", [run, run_in_bundles])
def test_a_failure_before_elements_fails_the_run_and_names_the_stage(method: str, run_with: Any) -> None:
    with pytest.raises(ValueError, match=rf"no {method}.*step"):
        run_with(lambda p: p | beam.Create([1]) | observed(beam.ParDo(FailingIn(method))))


@pytest.mark.parametrize(
    "windows", [None, FixedWindows(10), beam.window.Sessions(3), beam.window.SlidingWindows(9, 3)]
)
def test_a_failing_end_of_bundle_is_a_dead_letter_without_element(windows: Any) -> None:
    def build(p: beam.Pipeline) -> Any:
        numbers = p | beam.Create([1, 2])
        if windows is not None:
            numbers = numbers | "into" >> beam.WindowInto(windows)
        return numbers | observed(beam.ParDo(FailingIn("finish_bundle")))

    outcome = run(build)
    assert set(outcome.values()) == {1, 2}
    assert {(letter.error_message, letter.payload_coder) for letter in outcome.letters} == {
        ("no finish_bundle", "none")
    }


def test_a_failing_end_of_bundle_where_windows_depend_on_elements_is_not_silent() -> None:
    class ByValue(beam.window.NonMergingWindowFn):
        def assign(self, context: Any) -> Any:
            return [beam.window.IntervalWindow(context.element, context.element + 1)]

        def get_window_coder(self) -> Any:
            return beam.coders.coders.IntervalWindowCoder()

    def build(p: beam.Pipeline) -> Any:
        numbers = p | beam.Create([1, 2]) | "into" >> beam.WindowInto(ByValue())
        return numbers | observed(beam.ParDo(FailingIn("finish_bundle")))

    with pytest.raises(ValueError, match="no finish_bundle"):
        run(build)


def test_a_failing_end_of_bundle_without_a_home_fails_the_run() -> None:
    import beam_obs as obs

    with pytest.raises(ValueError, match="no finish_bundle"):
        run(lambda p: p | beam.Create([1]) | "step" >> obs.Stage(beam.ParDo(FailingIn("finish_bundle"))))


def test_a_generator_in_finish_bundle_that_fails_late_gives_nothing_but_a_dead_letter() -> None:
    class Late(beam.DoFn):
        def process(self, element):  # type: ignore[no-untyped-def]
            yield element

        def finish_bundle(self):  # type: ignore[no-untyped-def]
            yield WindowedValue("leftover", 0, (GlobalWindow(),))
            raise ValueError("late")

    outcome = through([1], beam.ParDo(Late()))
    assert (outcome.values(), outcome.letter.error_message) == ([1], "late")


def test_attributes_of_a_dofn_are_kept_from_setup_to_process() -> None:
    class Opening(beam.DoFn):
        def setup(self) -> None:
            self.factor = 10

        def process(self, number):  # type: ignore[no-untyped-def]
            yield number * self.factor

    assert through([1, 2], beam.ParDo(Opening())).values() == [10, 20]


@pytest.mark.parametrize("error", [MemoryError("full"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_what_is_no_matter_of_the_element_is_no_dead_letter(error: BaseException) -> None:
    def fail(element: Any) -> Any:
        raise error

    with pytest.raises(BaseException, match=type(error).__name__ if str(error) in ("", "3") else str(error)):
        through([1], beam.Map(fail))


def test_a_base_exception_of_the_users_is_no_dead_letter() -> None:
    class Stop(BaseException):
        pass

    def fail(element: Any) -> Any:
        raise Stop("stop")

    with pytest.raises(BaseException, match="stop"):
        through([1], beam.Map(fail))


@pytest.mark.parametrize("of", [beam.Map, beam.FlatMap])
def test_a_failure_further_down_is_not_caught_by_the_stage_above(of: Any) -> None:
    def give(element: Any) -> Any:
        return iter([element])

    def fail(element: Any) -> Any:
        raise ValueError("further down")

    with pytest.raises(ValueError, match=r"further down.*while running 'below'"):
        run(lambda p: _above_and_below(p, of(give), beam.Map(fail)))


def _above_and_below(p: beam.Pipeline, above: Any, below: Any) -> Any:
    good, dead = p | beam.Create([1]) | observed(above, partial=True)
    return {"below": good | "below" >> below, "dead": dead}


def test_the_wrapper_says_whom_it_stands_for() -> None:
    from beam_obs.records.run_context import ObservationSettings, RunContext
    from beam_obs.wrapper.guard import GuardSettings
    from beam_obs.wrapper.observed_dofn import ObservedDoFn

    dofn = ObservedDoFn(Placing(), GuardSettings("s", RunContext("p", "r"), ObservationSettings()))
    assert repr(dofn).startswith("ObservedDoFn(<")
    assert not hasattr(dofn, "nothing_of_the_kind")


def test_a_stream_of_many_bundles_does_not_gather_wrappers() -> None:
    run_id = ""

    def build(p: beam.Pipeline) -> Any:
        nonlocal run_id
        run_id = observation_of(p).context.run
        events = TestStream()
        for number in range(20):
            events = events.add_elements([number]).advance_watermark_to(number)
        return p | events.advance_watermark_to_infinity() | observed(beam.Map(lambda number: 1 // number))

    run_in_bundles(build, "--streaming")
    assert len(live._TALLIES.get((run_id, "step"), [])) < 3
    counts = live.live_counts(run_id)["step"]
    assert (counts.taken, counts.out, counts.dead) == (20, 19, 1)
    live.forget(run_id)
    assert live.live_counts(run_id) == {}
