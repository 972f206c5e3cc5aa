"""What steps that bring elements together take is held against what is in their groups."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import StrUtf8Coder, TupleCoder, VarIntCoder
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark, Repeatedly
from apache_beam.transforms.window import (
    FixedWindows,
    GlobalWindows,
    Sessions,
    SlidingWindows,
    TimestampedValue,
)

import beam_obs as obs
import beam_obs.lineage as lineage
from beam_obs.lineage.answers import DroppedLate
from beam_obs.records.window_counts import dropped_origins
from beam_obs.reports.balance_text import balance_text
from beam_obs.store.evidence import read_evidence, summarize_windows
from beam_obs.store.numbers_of_run import numbers_of_run
from tests.weaving.random_steps import STEPS, typed
from tests.weaving.steps_of_ours import Passes


class Total(beam.CombineFn):
    """Adds numbers, and refuses what is none."""

    def create_accumulator(self) -> int:
        return 0

    def add_input(self, accumulator: int, element: Any) -> int:
        return accumulator + int(element)

    def merge_accumulators(self, accumulators: Any) -> int:
        return sum(accumulators)

    def extract_output(self, accumulator: int) -> int:
        return accumulator


PAIRS = [("a", "1"), ("a", "2"), ("a", "x"), ("b", "3"), ("c", "y")]


def balance_of(build: Callable[[Any], Any], *options: str, runner: str = "FnApiRunner") -> dict[str, Any]:
    given = PipelineOptions(["--obs_report=off", *options])
    with obs.Pipeline(runner, given, name="gathering") as p:
        build(p)
    return dict((obs.Store().find("latest").end or {})["balance"])


def pairs(pipeline: Any) -> Any:
    return pipeline | beam.Create(PAIRS).with_output_types(tuple[str, str])


def numbers(pipeline: Any) -> Any:
    return pipeline | beam.Create([3, 1, 2, 2])


def joined(pipeline: Any) -> Any:
    return {"a": pairs(pipeline), "b": pipeline | "more" >> beam.Create(PAIRS[:2])} | beam.CoGroupByKey()


def windowed(pipeline: Any, windows: Any) -> Any:
    times = [TimestampedValue((f"{number % 2}", number), number) for number in range(10)]
    created = pipeline | beam.Create(times).with_output_types(tuple[str, int])
    return created | beam.WindowInto(windows) | beam.GroupByKey()


class TotalOfNumbers(beam.PTransform):
    """Adds what is a number; a step of its own refuses the rest."""

    def expand(self, pcoll: Any) -> Any:
        return (
            pcoll
            | "number" >> beam.MapTuple(lambda key, text: (key, int(text)))
            | "add" >> beam.CombinePerKey(sum)
        )


class TotalOfAll(beam.PTransform):
    """Adds what it is given, and refuses all that one of the keys has."""

    def expand(self, pcoll: Any) -> Any:
        return pcoll | "add" >> beam.CombinePerKey(Total())


GROUPS: dict[str, Callable[[Any], Any]] = {
    "groups": lambda p: pairs(p) | beam.GroupByKey(),
    "groups, joined": joined,
    "groups of windows": lambda p: windowed(p, FixedWindows(4)),
    "a combine": lambda p: numbers(p) | beam.Map(lambda one: ("a", one)) | beam.CombinePerKey(sum),
    "a combine with refusals": lambda p: pairs(p) | "stage" >> obs.Stage(beam.CombinePerKey(Total())),
    "a combine behind refusals": lambda p: pairs(p) | "stage" >> obs.Stage(TotalOfNumbers()),
    "a combine with refusals in a composite": lambda p: pairs(p) | "stage" >> obs.Stage(TotalOfAll()),
    "a combine of all": lambda p: numbers(p) | beam.CombineGlobally(sum),
    "a combine of none": lambda p: p | beam.Create([]) | beam.combiners.Count.Globally(),
    "hot keys": lambda p: (
        numbers(p) | beam.Map(lambda one: ("a", one)) | beam.CombinePerKey(sum).with_hot_key_fanout(2)
    ),
    "hot keys in a stage": lambda p: (
        pairs(p) | "stage" >> obs.Stage(beam.CombinePerKey(Total()).with_hot_key_fanout(2)) | beam.Distinct()
    ),
    "counts": lambda p: numbers(p) | beam.combiners.Count.PerElement(),
    "distinct": lambda p: numbers(p) | beam.Distinct(),
    "batches": lambda p: pairs(p) | beam.GroupIntoBatches(2),
    "batches in a stage": lambda p: pairs(p) | "stage" >> obs.Stage(beam.GroupIntoBatches(2)),
}


@pytest.mark.parametrize("name", GROUPS)
def test_all_that_went_in_is_in_the_groups(name: str) -> None:
    found = balance_of(lambda p: GROUPS[name](p) | "last" >> beam.Map(lambda one: one))
    assert balance_text(found).startswith("balanced: every record is accounted for"), found


def test_a_batch_of_which_all_is_refused_is_not_lost() -> None:
    found = balance_of(
        lambda p: p | beam.Create([(0, frozenset([1]))]) | "stage" >> obs.Stage(RunInference(Passes()))
    )
    assert found["holds"] is True, found["broken"]


def test_the_best_of_a_step_that_sends_on_a_few_are_not_too_many() -> None:
    assert balance_of(lambda p: numbers(p) | beam.combiners.Top.Largest(2))["holds"] is True


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda p: windowed(p, SlidingWindows(4, 2)), "a record may be in several of its windows"),
        (
            lambda p: (
                pairs(p)
                | beam.WindowInto(
                    GlobalWindows(),
                    trigger=Repeatedly(AfterCount(2)),
                    accumulation_mode=AccumulationMode.ACCUMULATING,
                )
                | beam.GroupByKey()
            ),
            "its panes hold records of those before them",
        ),
    ],
)
def test_groups_that_hold_a_record_twice_are_named(build: Callable[[Any], Any], reason: str) -> None:
    found = balance_of(build)
    assert found["unchecked_steps"] == [{"step": "GroupByKey", "reason": reason}]
    assert found["holds"] is not False


def test_batches_without_lineage_are_named() -> None:
    found = balance_of(
        lambda p: pairs(p) | "stage" >> obs.Stage(beam.Filter(bool)) | "batch" >> beam.GroupIntoBatches(2),
        "--obs_lineage=off",
    )
    assert [step["step"] for step in found["unchecked_steps"]] == ["batch"]


def late_stream(pipeline: Any, watermark: int = 50) -> Any:
    stream = TestStream(coder=TupleCoder([StrUtf8Coder(), VarIntCoder()])).advance_watermark_to(0)
    stream = stream.add_elements([TimestampedValue(("a", at), at) for at in range(4)])
    stream = stream.advance_watermark_to(watermark)
    stream = stream.add_elements([TimestampedValue(("a", at), at) for at in range(4, 6)])
    return pipeline | stream.advance_watermark_to_infinity() | beam.WindowInto(FixedWindows(10))


def test_a_stream_that_drops_nothing_has_dropped_nothing() -> None:
    found = balance_of(
        lambda p: late_stream(p, watermark=4) | "group" >> beam.GroupByKey(),
        "--streaming",
        runner="BundleBasedDirectRunner",
    )
    assert found["dropped"] == []


def test_what_a_stream_without_counts_dropped_as_late_is_found() -> None:
    found = balance_of(
        lambda p: late_stream(p) | "group" >> beam.GroupByKey(),
        "--streaming",
        runner="BundleBasedDirectRunner",
    )
    assert found["dropped"] == [{"step": "group", "count": 2, "windows": {"[0.0, 10.0)": 2}}]
    assert found["holds"] is True  # by the ledger, which counts there too


WINDOWS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "fixed": (FixedWindows(10), ("[0.0, 10.0)",)),
    "sliding": (SlidingWindows(10, 5), ("[0.0, 10.0)", "[5.0, 15.0)")),
    # Of windows that merge it is not known which it came too late for.
    "sessions": (Sessions(3), ("",)),
}
HOW = {"group": beam.GroupByKey, "combine": lambda: beam.CombinePerKey(sum)}


@pytest.mark.parametrize("windows", WINDOWS)
@pytest.mark.parametrize("how", HOW)
def test_each_record_that_is_too_late_is_known_by_its_origin(windows: str, how: str) -> None:
    window_fn, dropped_from = WINDOWS[windows]
    stream = TestStream(coder=TupleCoder([StrUtf8Coder(), VarIntCoder()])).advance_watermark_to(0)
    for watermark, times in ((15, range(4)), (500, range(4, 6)), (600, range(6, 8))):
        stream = stream.add_elements([TimestampedValue(("a", at), at) for at in times])
        stream = stream.advance_watermark_to(watermark)

    def build(pipeline: Any) -> None:
        windowed = (
            pipeline
            | stream.advance_watermark_to_infinity()
            | beam.WindowInto(
                window_fn,
                trigger=AfterWatermark(late=AfterCount(1)),
                accumulation_mode=AccumulationMode.DISCARDING,
                allowed_lateness=100,
            )
        )
        _ = windowed | "group" >> HOW[how]()

    options = ("--streaming", "--obs_lineage_filtered=all")
    found = balance_of(build, *options, runner="BundleBasedDirectRunner")

    (dropped,), (late,) = found["dropped"], found["late"]
    assert (dropped["step"], late["step"]) == ("group", "group")
    assert dropped["count"] == 2 * len(dropped_from)
    record = obs.Store().find("latest")
    step = next(step for step in (record.end or {})["steps"] if step["label"] == "group")
    assert (step["dropped"], step["late"]) == (dropped["count"], late["count"])
    (counts,) = summarize_windows(read_evidence(obs.Store(), record.folder)).values()
    origins = dropped_origins(counts, dropped["count"])
    assert len(origins) == 2
    for origin in origins:
        answer = lineage.fate(origin.hex(), run=record.id)
        assert answer.certainty.kind == "complete"
        assert answer.into is not None
        assert answer.into.end == "dropped as late"
        assert answer.into.dropped == tuple(DroppedLate("group", window) for window in dropped_from)


@pytest.mark.parametrize(("age", "told"), [(30, 30), (-1000, 0)])
def test_how_old_elements_are_is_told_where_windows_gather_them(age: int, told: int) -> None:
    now = time.time()

    def aged(_: float) -> TimestampedValue:
        return TimestampedValue(("a", 1), time.time() - age)

    def build(pipeline: Any) -> None:
        times = pipeline | PeriodicImpulse(now, now + 0.2, 0.1)
        times = times | beam.Map(aged).with_output_types(tuple[str, int])
        _ = times | beam.WindowInto(FixedWindows(10), allowed_lateness=100) | "group" >> beam.GroupByKey()

    balance_of(build)

    record = obs.Store().find("latest")
    lags = {step["label"]: step.get("event_lag_seconds") for step in (record.end or {})["steps"]}
    lag = lags.pop("group")
    assert set(lags.values()) == {None}
    assert told <= lag["min"] <= lag["max"] < told + 5
    family = numbers_of_run(record).family("beam_obs_event_lag_seconds")
    assert family is not None
    (sample,) = family.samples
    assert (sample.step, sample.count, sample.sum) == ("group", lag["count"], lag["sum"])


@pytest.mark.slow
def test_every_step_of_the_oracle_balances() -> None:
    def build(pipeline: Any) -> None:
        sets = pipeline | "one" >> beam.Create([(at % 4, frozenset([at])) for at in range(20)])
        for name in sorted(STEPS):
            _ = typed(STEPS[name](typed(sets, f"{name} first"), name), f"{name} last")

    found = balance_of(build)
    assert found["holds"] is True, found["broken"]
    assert {step["step"] for step in found["unchecked_steps"]} == {"sliding windows", "state"}
    assert found["edges_checked"] > 0.9 * found["edges"]
