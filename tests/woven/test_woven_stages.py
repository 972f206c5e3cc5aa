"""A stage in a woven pipeline: one function observes, carries origins, and gives what it gave before."""

# ruff: noqa: B008 - Beam wants its parameters as defaults.

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms import userstate
from apache_beam.transforms.combiners import CountCombineFn
from apache_beam.transforms.core import RestrictionProvider

from beam_obs.records.lineage_rows import Filtered, read_filtered
from beam_obs.records.origin import Partition, unlocated_origin
from beam_obs.records.run_context import ObservationSettings, RunContext, observation_of
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.woven.step_settings import WovenSettings
from beam_obs.woven.woven_dofn import WovenDoFn
from beam_obs.wrapper.element_forms import KEYED, ROWS, WOVEN
from beam_obs.wrapper.exception_note import note_of
from beam_obs.wrapper.failure import in_words
from beam_obs.wrapper.guard import GuardSettings
from beam_obs.wrapper.observed_dofn import ObservedDoFn
from tests.running import Outcome, observed, run, through

ELEMENTS = [0, 1, 2, 3, 4, 5, -1]


def refuse_negative(number: int) -> int:
    if number < 0:
        raise ValueError(f"negative: {number}")
    return number


def double(number: int) -> int:
    return 2 * refuse_negative(number)


def is_odd(number: int) -> bool:
    return refuse_negative(number) % 2 == 1


def below(number: int) -> list[int]:
    return list(range(refuse_negative(number)))


def below_one_by_one(number: int) -> Iterator[int]:
    yield from range(abs(number))
    refuse_negative(number)


def add(number: int, addend: int) -> int:
    return refuse_negative(number) + addend


class Below(beam.DoFn):
    def process(self, number: int) -> Any:
        yield from range(abs(number))
        refuse_negative(number)


class BelowOrNone(beam.DoFn):
    def process(self, number: int) -> Any:
        return tuple(range(number)) if refuse_negative(number) else None


class OddsApart(beam.DoFn):
    def process(self, number: int) -> Any:
        yield TaggedOutput("odd", number) if number % 2 else number
        refuse_negative(number)


class Keyed(beam.DoFn):
    def process(self, number: int, window: Any = beam.DoFn.WindowParam) -> Any:
        return [(str(refuse_negative(number)), str(window))]


TRANSFORMS = {
    "Map": lambda: beam.Map(double),
    "Map with an argument": lambda: beam.Map(add, 5),
    "Filter": lambda: beam.Filter(is_odd),
    "FlatMap": lambda: beam.FlatMap(below),
    "FlatMap of a generator": lambda: beam.FlatMap(below_one_by_one),
    "FlatMap of any iterable": lambda: beam.FlatMap(lambda number: map(int, below(number))),
    "generator": lambda: beam.ParDo(Below()),
    "a tuple or None": lambda: beam.ParDo(BelowOrNone()),
    "tags": lambda: beam.ParDo(OddsApart()).with_outputs("odd", main="main"),
    "a parameter": lambda: beam.ParDo(Keyed()),
}


def woven(elements: list[Any], transform: Any, **arguments: Any) -> Outcome:
    def build(pipeline: beam.Pipeline) -> Any:
        return pipeline | beam.Create(elements) | observed(transform, **arguments)

    with weaving(WeaveSettings(strict=True)):
        return run(build, runner=FnApiRunner())


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("make", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_stage_gives_the_same_woven(make: Any, partial: bool) -> None:
    bare, in_weave = (each(ELEMENTS, make(), partial=partial) for each in (through, woven))

    assert {name: bare.values(name) for name in bare.emitted if name != "dead"} == {
        name: in_weave.values(name) for name in in_weave.emitted if name != "dead"
    }
    assert in_weave.refused == bare.refused == ["-1"]
    for letter, expected in zip(in_weave.letters, bare.letters, strict=True):
        assert (letter.traceback, letter.fingerprint) == (expected.traceback, expected.fingerprint)
    ours, theirs = (dataclasses.asdict(outcome.counts()) for outcome in (in_weave, bare))
    ours.pop("latency"), theirs.pop("latency")
    assert ours == theirs


def test_beyond_the_cap_nothing_is_lost_woven() -> None:
    def build(pipeline: beam.Pipeline) -> Any:
        observation_of(pipeline).settings.output_cap = 10
        return pipeline | beam.Create([9, 10, 11, 12, 40, -15]) | observed(beam.FlatMap(below_one_by_one))

    with weaving(WeaveSettings(strict=True)):
        outcome = run(build, runner=FnApiRunner())

    assert len(outcome.values()) == 9 + 10 + 11 + 12 + 40 + 15
    assert outcome.refused == ["-15"]
    assert outcome.counts().out == 9 + 10 + 11 + 12 + 40 + 15


ORIGIN = bytes(range(16))


def plain(transform: Any) -> Any:
    """The ParDo, where it has tags."""
    return getattr(transform, "_do_transform", transform)


def observed_dofn(transform: Any, keeps_dead_letters: bool = True) -> ObservedDoFn:
    return ObservedDoFn(
        plain(transform).fn,
        GuardSettings(
            "step", RunContext("p", "r"), ObservationSettings(), keeps_dead_letters=keeps_dead_letters
        ),
        has_arguments=bool(plain(transform).args),
    )


def stage(transform: Any, keeps_dead_letters: bool = True, **settings: Any) -> WovenDoFn:
    guarded = observed_dofn(transform, keeps_dead_letters)
    return WovenDoFn(guarded, plain(transform).args, {}, WovenSettings("step", WOVEN, WOVEN, **settings))


@pytest.mark.parametrize("name", ["Map", "Filter", "FlatMap", "FlatMap of a generator", "generator", "tags"])
def test_a_woven_stage_has_one_process_function(name: str) -> None:
    dofn = pickler.loads(pickler.dumps(stage(TRANSFORMS[name]())))

    assert dofn.process.__code__.co_filename.startswith("<beam_obs woven ")
    assert "left" in dofn.process.__code__.co_freevars


class Numbers(RestrictionProvider):
    def initial_restriction(self, number: int) -> OffsetRange:
        return OffsetRange(0, number)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, number: int, restriction: OffsetRange) -> int:
        return restriction.size()


class RunningSum(beam.DoFn):
    """Gives the sum so far of a key, and how many there were when its window ends."""

    SUM = userstate.CombiningValueStateSpec("sum", sum)
    COUNT = userstate.CombiningValueStateSpec("count", CountCombineFn())
    END = userstate.TimerSpec("end", userstate.TimeDomain.WATERMARK)

    def process(
        self,
        pair: tuple[str, int],
        window: Any = beam.DoFn.WindowParam,
        windowed: Any = beam.DoFn.WindowedValueParam,
        total: Any = beam.DoFn.StateParam(SUM),
        count: Any = beam.DoFn.StateParam(COUNT),
        end: Any = beam.DoFn.TimerParam(END),
    ) -> Iterator[Any]:
        assert windowed.value == pair
        end.set(window.max_timestamp())
        count.add(1)
        yield pair[0], refuse_negative(pair[1])
        total.add(pair[1])
        yield pair[0], total.read()

    @userstate.on_timer(END)
    def at_the_end(
        self, key: Any = beam.DoFn.KeyParam, count: Any = beam.DoFn.StateParam(COUNT)
    ) -> Iterator[Any]:
        if key == "b":
            raise ValueError("no end of b")
        yield key, count.read()


class UpTo(beam.DoFn):
    """Splittable: gives the numbers below its element."""

    def process(self, number: int, tracker: Any = beam.DoFn.RestrictionParam(Numbers())) -> Iterator[int]:
        position = tracker.current_restriction().start
        while tracker.try_claim(position):
            yield position
            position += 1


class InBatches(beam.DoFn):
    @beam.DoFn.yields_batches
    def process(self, number: int) -> Iterator[list[int]]:
        yield list(range(refuse_negative(number)))

    def infer_output_type(self, input_type: Any) -> Any:
        return int

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return list[int]


class OfBatches(beam.DoFn):
    def process_batch(self, batch: list[int], *args: Any) -> Iterator[list[int]]:
        yield [refuse_negative(number) for number in batch]

    def infer_output_type(self, input_type: Any) -> Any:
        return input_type

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        return list[input_element_type]

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return list[input_element_type]


SPECIAL: dict[str, tuple[Any, list[Any]]] = {
    "state": (RunningSum, [(key, number) for key in "ab" for number in (1, 2, -3, 4)]),
    "splittable": (UpTo, [0, 3, 5]),
    "gives batches": (InBatches, ELEMENTS),
    "takes batches": (OfBatches, ELEMENTS),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_a_stage_of_any_kind_gives_the_same_woven(name: str) -> None:
    kind, elements = SPECIAL[name]
    bare, in_weave = (each(elements, beam.ParDo(kind())) for each in (through, woven))

    assert sorted(in_weave.values()) == sorted(bare.values())
    assert in_weave.refused == bare.refused
    ours, theirs = (dataclasses.asdict(outcome.counts()) for outcome in (in_weave, bare))
    ours.pop("latency"), theirs.pop("latency")
    assert ours == theirs


@pytest.mark.parametrize("name", ["state", "splittable"])
def test_a_woven_stage_of_any_kind_has_one_process_function(name: str) -> None:
    made = ObservedDoFn(
        SPECIAL[name][0](), GuardSettings("step", RunContext("p", "r"), ObservationSettings())
    )
    settings = WovenSettings("step", KEYED if name == "state" else WOVEN, WOVEN)

    process = WovenDoFn(made, (), {}, settings).make_process()

    while not process.__code__.co_filename.startswith("<beam_obs"):  # puts the plain arguments in
        process = inspect.getclosurevars(process).nonlocals["process"]
    assert process.__code__.co_filename.startswith("<beam_obs woven ")
    called = process.__globals__["function"]
    assert called.__func__ is SPECIAL[name][0].process


def test_its_counts_are_those_of_the_stage() -> None:
    dofn = stage(beam.Map(double))

    for number in (1, 2, -1):
        list(dofn.process((ORIGIN, number)))

    counts = dofn._calls.tally.read()
    assert (counts.taken, counts.out, counts.dead) == (3, 2, 1)


# Notes.


def noted(origin: bytes, transform: Any) -> list[str]:
    with pytest.raises(ValueError, match="negative") as caught:
        list(stage(transform, keeps_dead_letters=False).process((origin, -1)))
    note = note_of(caught.value)
    return [] if note is None else [note]


@pytest.mark.parametrize("name", ["Map", "Filter", "FlatMap", "generator", "tags", "a tuple or None"])
def test_an_error_without_a_home_says_step_and_position(name: str) -> None:
    origin = Partition("2013/01.csv", "1").origin(1024)

    (note,) = noted(origin, TRANSFORMS[name]())

    assert note == f"beam_obs: in step 'step', element of origin {origin.hex()} (position 1024)"


@pytest.mark.parametrize(
    "origin",
    [
        Partition("a", "1", located=False).origin(7),
        Partition("a", "1", wide=True).origin(7),
        Partition("a", "1").origin(2**40 + 7),
        unlocated_origin(Partition("a", "", located=False), b"content", 0),
    ],
    ids=["not located", "wide", "beyond 40 bits", "by content"],
)
def test_a_position_that_is_not_whole_is_not_said(origin: bytes) -> None:
    (note,) = noted(origin, beam.Map(double))

    assert note == f"beam_obs: in step 'step', element of origin {origin.hex()}"


def test_a_refused_element_has_no_note() -> None:
    (refusal,) = stage(beam.Map(double)).process((ORIGIN, -1))

    assert "beam_obs" not in in_words(refusal.value[1].failure).traceback


# Elements that gave nothing.


class Nothing(beam.DoFn):
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def process(self, number: int) -> Any:
        return {"list": [], "tuple": (), "None": None, "lazy": iter(()), "map": map(int, ())}[self._kind]


class NothingOneByOne(beam.DoFn):
    def process(self, number: int) -> Iterator[int]:
        yield from ()


GIVING_NOTHING = {
    "Filter": lambda: beam.Filter(lambda _: False),
    "Filter with an argument": lambda: beam.Filter(lambda _, side: side, False),
    "FlatMap": lambda: beam.FlatMap(lambda _: []),
    "generator": lambda: beam.ParDo(NothingOneByOne()),
    **{
        kind: functools.partial(lambda kind: beam.ParDo(Nothing(kind)), kind)
        for kind in ("list", "tuple", "None", "lazy", "map")
    },
}


def process(transform: Any, is_stage: bool, least: int | None, element: Any, takes: str = WOVEN) -> list[Any]:
    settings = WovenSettings("step", takes, takes, filtered_least=least)
    made = observed_dofn(transform) if is_stage else plain(transform).fn
    dofn = WovenDoFn(made, plain(transform).args, {}, settings)
    return list(dofn.process(element, *plain(transform).args))


@pytest.mark.parametrize("is_stage", [False, True], ids=["bare", "Stage"])
@pytest.mark.parametrize("make", GIVING_NOTHING.values(), ids=GIVING_NOTHING)
def test_an_element_that_gave_nothing_is_noted(make: Any, is_stage: bool) -> None:
    (row,) = process(make(), is_stage, 0, (ORIGIN, 1))

    assert row.tag == ROWS
    assert read_filtered(row.value) == Filtered("step", ORIGIN)


@pytest.mark.parametrize("is_stage", [False, True], ids=["bare", "Stage"])
@pytest.mark.parametrize("make", GIVING_NOTHING.values(), ids=GIVING_NOTHING)
def test_it_is_noted_from_the_least_on(make: Any, is_stage: bool) -> None:
    own = int.from_bytes(ORIGIN[9:], "big")

    assert len(process(make(), is_stage, own, (ORIGIN, 1))) == 1
    assert process(make(), is_stage, own + 1, (ORIGIN, 1)) == []
    assert process(make(), is_stage, None, (ORIGIN, 1)) == []


@pytest.mark.parametrize("is_stage", [False, True], ids=["bare", "Stage"])
@pytest.mark.parametrize(
    "provenance", [b"", b"\0", b"a summary of several"], ids=["unknown", "none", "several"]
)
def test_what_is_no_origin_is_not_noted(provenance: bytes, is_stage: bool) -> None:
    assert process(beam.Filter(lambda _: False), is_stage, 0, (provenance, 1)) == []


@pytest.mark.parametrize("is_stage", [False, True], ids=["bare", "Stage"])
def test_a_keyed_element_is_noted_too(is_stage: bool) -> None:
    (row,) = process(beam.Filter(lambda _: False), is_stage, 0, ("k", (ORIGIN, 1)), KEYED)

    assert read_filtered(row.value).origin == ORIGIN


@pytest.mark.parametrize("name", ["Map", "Filter", "FlatMap", "generator", "tags"])
@pytest.mark.parametrize("is_stage", [False, True], ids=["bare", "Stage"])
def test_an_element_that_gave_something_is_not_noted(name: str, is_stage: bool) -> None:
    given = process(TRANSFORMS[name](), is_stage, 0, (ORIGIN, 3))

    assert ROWS not in [getattr(one, "tag", None) for one in given]
    assert given


def test_a_refused_element_is_not_noted() -> None:
    (refusal,) = process(TRANSFORMS["Filter"](), True, 0, (ORIGIN, -1))

    assert refusal.tag != ROWS


class Holding(beam.DoFn):
    def start_bundle(self) -> None:
        self._held: list[int] = []

    def process(self, number: int) -> None:
        self._held.append(number)

    def finish_bundle(self) -> Any:
        yield from map(beam.transforms.window.GlobalWindows.windowed_value, self._held)


def test_an_element_that_is_held_back_is_not_noted() -> None:
    dofn = WovenDoFn(Holding(), (), {}, WovenSettings("step", WOVEN, WOVEN, filtered_least=0))
    dofn.start_bundle()

    assert list(dofn.process((ORIGIN, 1)) or ()) == []
