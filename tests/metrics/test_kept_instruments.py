"""Gauges and summaries: the latest value, and quantiles, of many bundles; where nothing can keep them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import FixedWindows

import beam_obs as obs
from beam_obs.metrics import names
from beam_obs.metrics.families import Family
from beam_obs.metrics.run_snapshot import read_snapshot
from beam_obs.records.instrument_rows import GAUGE, SUMMARY, InstrumentRow
from beam_obs.records.weighted_values import MergedValues, pack_weighted, read_weighted
from beam_obs.store.evidence import read_evidence
from beam_obs.store.instrument_values import kept_families, merged_families
from tests.metrics.bundled_values import BUNDLES, check_values, in_bundles

MANY_WORKERS = f"--direct_num_workers={BUNDLES}"
RUNNERS = {"FnApiRunner": "FnApiRunner", "bundle by bundle": BundleBasedDirectRunner}


def observed(runner: Any, *options: str) -> Any:
    made = runner if isinstance(runner, str) else runner()
    return obs.Pipeline(made, argv=["--obs_report=off", *options], store="store", name="values")


def instruments(run: str = "values@latest") -> dict[str, Any]:
    end = obs.Store("store").find(run).end
    assert end is not None
    found: dict[str, Any] = end["instruments"]
    return found


@pytest.mark.parametrize("lineage", ["woven", "off"])
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.slow
def test_the_latest_value_and_quantiles_are_those_of_all_bundles(runner: str, lineage: str) -> None:
    pipeline = observed(RUNNERS[runner], f"--obs_lineage={lineage}", MANY_WORKERS)
    in_bundles(pipeline)
    pipeline.run().wait_until_finish()
    check_values(instruments())


class Alike(beam.DoFn):
    """Uses instruments wherever a DoFn may, in a bundle."""

    def __init__(self) -> None:
        self._in_finish = obs.gauge("in_finish")
        self._in_start = obs.gauge("in_start")

    def start_bundle(self) -> None:
        self._in_start.set(0.25)

    def process(self, number: int) -> Iterator[int]:
        yield number
        yield beam.pvalue.TaggedOutput("odd", number)

    def finish_bundle(self) -> Iterator[Any]:
        self._in_finish.set(0.5)
        yield beam.transforms.window.GlobalWindows.windowed_value(-1)


@pytest.mark.parametrize("runner", RUNNERS)
def test_methods_of_bundles_may_use_them_and_their_outputs_stay(runner: str, tmp_path: Path) -> None:
    pipeline = observed(RUNNERS[runner])
    made = (
        pipeline
        | beam.Create([1, 2])
        | "step" >> obs.Stage(beam.ParDo(Alike()).with_outputs("odd", main="all"))
    )
    _ = made["all"] | beam.Map(str) | obs.WriteToText(str(tmp_path / "out"))
    pipeline.run().wait_until_finish()
    values = {family["name"]: family["samples"] for family in instruments()["families"]}
    assert {name: {one["value"] for one in samples} for name, samples in values.items()} == {
        "in_finish": {0.5},
        "in_start": {0.25},
    }
    lines = [line for file in tmp_path.glob("out*") for line in file.read_text().split()]
    assert sorted(set(lines)) == ["-1", "1", "2"]


@pytest.mark.parametrize("lineage", ["woven", "off"])
def test_in_a_stream_they_are_those_of_all_bundles(lineage: str) -> None:
    degrees, waits = obs.gauge("degrees"), obs.summary("wait_seconds", quantiles=[0, 1])

    def use(number: int) -> int:
        degrees.set(number + 0.5)
        waits.observe(number)
        return number

    pipeline = observed("DirectRunner", "--streaming", f"--obs_lineage={lineage}")
    stream = TestStream(coder=VarIntCoder())
    for number in range(5):
        stream = stream.advance_watermark_to(number * 10).add_elements([number])
    numbers = pipeline | stream.advance_watermark_to_infinity() | beam.Map(use)
    _ = numbers | beam.WindowInto(FixedWindows(20)) | "again" >> beam.Map(use)
    pipeline.run().wait_until_finish()
    gauge, summary = (family["samples"] for family in instruments()["families"])
    assert [(one["step"], one["value"]) for one in gauge] == [("Map(use)", 4.5), ("again", 4.5)]
    assert [(one["count"], one["quantiles"]) for one in summary] == [(5, {"0.0": 0.0, "1.0": 4.0})] * 2


def test_what_is_no_number_is_left_out_and_counted() -> None:
    degrees, seconds = obs.gauge("degrees"), obs.summary("wait_seconds")

    def use(number: int) -> None:
        degrees.set(number if number == 1 else float("nan"))
        seconds.observe("much" if number == 2 else number)

    pipeline = observed("FnApiRunner")
    _ = pipeline | beam.Create([1, 2, 3]) | beam.Map(use)
    pipeline.run().wait_until_finish()
    found = instruments()
    assert {
        one["name"]: one["samples"][0].get("value", one["samples"][0].get("count"))
        for one in found["families"]
    } == {
        "degrees": 1.0,
        "wait_seconds": 2,
    }
    assert found["values_refused"] == 3


@pytest.mark.parametrize("value", [1e19, -1e30])
def test_values_too_large_are_counted_and_the_run_can_be_read(value: float) -> None:
    takes = [
        obs.gauge("largest_bytes").set,
        obs.summary("large_bytes").observe,
        obs.histogram("larger_bytes").observe,
    ]

    def use(number: float) -> None:
        for take in takes:
            take(number)

    pipeline = observed("FnApiRunner")
    _ = pipeline | beam.Create([1.0, value]) | beam.Map(use)
    pipeline.run().wait_until_finish()
    assert obs.Store("store").find("values@latest").problems == ()
    assert instruments()["values_refused"] == len(takes)


def test_without_a_store_they_are_lost_which_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    lost = obs.gauge("lost_bytes")
    pipeline = beam.Pipeline("FnApiRunner")
    _ = pipeline | beam.Create([1, 2, 3]) | beam.Map(lost.set)
    result = pipeline.run()
    result.wait_until_finish()
    assert read_snapshot(result, pipeline).of_instruments == {names.VALUES_NOT_KEPT: 3}
    assert [line for line in caplog.messages if "lost_bytes has nothing to keep it in" in line]


def test_a_pipeline_of_a_program_without_them_is_woven_as_it_was() -> None:
    obs.counter("only_counted")
    pipeline = observed("FnApiRunner", "--obs_lineage=off")
    _ = pipeline | beam.Create([1]) | beam.Map(str)
    pipeline.run().wait_until_finish()
    record = obs.Store("store").find("values@latest")
    assert record.end is not None
    assert record.end["instruments"] is None
    assert [*Path("store", record.folder).glob("instruments*")] == []


def test_a_gauge_has_the_latest_value_in_whatever_order_bundles_come() -> None:
    rows = [InstrumentRow(GAUGE, "x", "step", at, value) for at, value in ((2, 5.0), (3, 1.5), (1, 9.0))]
    for turned in (rows, rows[::-1]):
        (family,) = merged_families(turned, [])
        assert (family.samples[0].value, family.samples[0].at) == (1.5, 3)


def rows_of_summary(window: float | None) -> list[InstrumentRow]:
    rows = []
    for slice_ in range(12):
        packed = pack_weighted(slice_, slice_, [(float(slice_), 2), (float(slice_), 8)])
        options = {"quantiles": [0.0, 1.0], "window": window}
        at = slice_ * 10_000_000
        rows.append(InstrumentRow(SUMMARY, "s", "step", at, 10.0 * slice_, 10, packed, options))
    return rows


def test_a_window_slides_and_ends_with_the_last_value() -> None:
    (family,) = merged_families(rows_of_summary(window=60), [])
    (sample,) = family.samples
    assert (sample.quantiles, sample.count, sample.sum) == ({"0.0": 6.0, "1.0": 11.0}, 60, 510.0)


def test_without_a_window_a_summary_is_of_the_whole_run() -> None:
    (family,) = merged_families(rows_of_summary(window=None), [])
    assert (family.samples[0].quantiles, family.samples[0].count) == ({"0.0": 0.0, "1.0": 11.0}, 120)


def test_a_damaged_sketch_is_told_and_fails_nothing() -> None:
    problems: list[str] = []
    damaged = [row._replace(sketch=row.sketch[:9]) for row in rows_of_summary(window=None)]
    assert merged_families(damaged, problems) == []
    assert problems[0].startswith("summary s is damaged")


def test_bytes_of_anybody_are_no_values_or_some() -> None:
    packed = pack_weighted(0.0, 9.0, [(float(number), 1 << number % 3) for number in range(50)])
    chance = random.Random(1)
    read = 0
    for _ in range(2000):
        changed = bytearray(packed[: chance.randrange(len(packed)) if chance.random() < 0.5 else None])
        for _ in range(chance.randrange(3)):
            if changed:
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        row = InstrumentRow(SUMMARY, "s", "step", 0, 1.0, 1, bytes(changed), {"quantiles": [0.5]})
        read += len(merged_families([row], []))
    assert 0 < read < 2000


def test_merged_quantiles_of_many_sketches_keep_their_error() -> None:
    sketch_of = np.random.default_rng(1)
    values = sketch_of.lognormal(size=(400, 2000))
    merged = MergedValues()
    for part in values:
        merged.add(read_weighted(pack_weighted(part.min(), part.max(), ((value, 1) for value in part))))
    shares = [0.01, 0.5, 0.9, 0.99, 0.999]
    every = np.sort(values.ravel())
    for share, value in zip(shares, merged.quantiles(shares), strict=True):
        assert abs(np.searchsorted(every, value) / len(every) - share) < 0.0005
    assert merged.quantiles([0, 1]) == [every[0], every[-1]]


def test_a_file_that_was_changed_is_told(tmp_path: Path) -> None:
    gauge = obs.gauge("changed")
    pipeline = observed("FnApiRunner")
    _ = pipeline | beam.Create([1]) | beam.Map(gauge.set)
    pipeline.run().wait_until_finish()
    store = obs.Store("store")
    record = store.find("values@latest")
    (file,) = Path("store", record.folder).glob("instruments*")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    problems: list[str] = []
    found: list[Family] = kept_families(store, record.folder, read_evidence(store, record.folder), problems)
    assert (found, problems) == ([], [f"{file.name} is not what was written"])


@pytest.mark.parametrize("quantiles", [[], [1.5], [-0.1]])
def test_quantiles_that_are_none_are_refused(quantiles: list[float]) -> None:
    with pytest.raises(obs.UsageError, match="quantiles from 0 to 1"):
        obs.summary("refused_seconds", quantiles=quantiles)


@pytest.mark.parametrize("window", [0, -1, float("inf")])
def test_windows_that_are_none_are_refused(window: float) -> None:
    with pytest.raises(obs.UsageError, match="a window of seconds"):
        obs.summary("refused_seconds", window=window)


class Ranges(RestrictionProvider):
    def initial_restriction(self, element: int) -> OffsetRange:
        return OffsetRange(0, element)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: int, restriction: OffsetRange) -> int:
        return int(restriction.size())


class Splittable(beam.DoFn):
    def __init__(self, level: Any) -> None:
        self._level = level

    def process(self, _: int, tracker: Any = beam.DoFn.RestrictionParam(Ranges())) -> Iterator[int]:  # noqa: B008
        at = tracker.current_restriction().start
        while tracker.try_claim(at):
            self._level.set(at + 0.5)
            yield at
            at += 1


class Stateful(beam.DoFn):
    SEEN = ReadModifyWriteStateSpec("seen", VarIntCoder())
    END = TimerSpec("end", TimeDomain.WATERMARK)

    def __init__(self, level: Any) -> None:
        self._level = level

    def process(
        self,
        pair: tuple[int, int],
        seen: Any = beam.DoFn.StateParam(SEEN),  # noqa: B008
        end: Any = beam.DoFn.TimerParam(END),  # noqa: B008
    ) -> None:
        seen.write((seen.read() or 0) + 1)
        end.set(10)

    @on_timer(END)
    def give(self, seen: Any = beam.DoFn.StateParam(SEEN)) -> Iterator[int]:  # noqa: B008
        self._level.set(seen.read() + 0.25)
        yield seen.read()


@pytest.mark.parametrize("lineage", ["woven", "off"])
def test_dofns_that_are_split_or_have_state_and_timers_may_use_them(lineage: str) -> None:
    level = obs.gauge("level")
    pipeline = observed("FnApiRunner", f"--obs_lineage={lineage}")
    numbers = pipeline | beam.Create([5]) | "split" >> beam.ParDo(Splittable(level))
    _ = numbers | beam.Map(lambda number: (1, number)) | "state" >> beam.ParDo(Stateful(level))
    pipeline.run().wait_until_finish()
    (family,) = instruments()["families"]
    assert {one["step"]: one["value"] for one in family["samples"]} == {"split": 4.5, "state": 5.25}
