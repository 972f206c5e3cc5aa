"""Splittable DoFns under a Stage: observed, split and checkpointed as without it, never refused half way."""

# ruff: noqa: B008 - Beam wants its parameters as defaults.

from __future__ import annotations

import time
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator, MonotonicWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

import beam_obs as obs
from tests.running import observed, run, through


class Ranges(RestrictionProvider):
    def initial_restriction(self, size: int) -> OffsetRange:
        return OffsetRange(0, size)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, size: int, restriction: OffsetRange) -> int:
        return restriction.size()

    def split(self, size: int, restriction: OffsetRange) -> Any:
        half = restriction.start + restriction.size() // 2
        yield OffsetRange(restriction.start, half)
        yield OffsetRange(half, restriction.stop)


class Counting(beam.DoFn):
    def process(self, size, tracker=beam.DoFn.RestrictionParam(Ranges())):  # type: ignore[no-untyped-def]
        position = tracker.current_restriction().start
        while tracker.try_claim(position):
            if position == 13:
                raise ValueError("thirteen")
            yield size, position
            position += 1


class ItsOwnProvider(beam.DoFn, Ranges):
    def process(self, size, tracker=beam.DoFn.RestrictionParam()):  # type: ignore[no-untyped-def]
        position = tracker.current_restriction().start
        while tracker.try_claim(position):
            yield size, position
            position += 1


class Checkpointing(beam.DoFn):
    """Gives two outputs and puts the rest off."""

    def process(self, size, tracker=beam.DoFn.RestrictionParam(Ranges())):  # type: ignore[no-untyped-def]
        start = tracker.current_restriction().start
        for position in range(start, start + 2):
            if not tracker.try_claim(position):
                return
            yield size, position
        tracker.defer_remainder()


class WithWatermark(beam.DoFn):
    def process(  # type: ignore[no-untyped-def]
        self,
        size,
        tracker=beam.DoFn.RestrictionParam(Ranges()),
        estimator=beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),
    ):
        for position in range(tracker.current_restriction().start, tracker.current_restriction().stop):
            if not tracker.try_claim(position):
                return
            estimator.set_watermark(Timestamp(position))
            yield TimestampedValue((size, position), position)


class Monotonic(beam.DoFn):
    def process(  # type: ignore[no-untyped-def]
        self,
        size,
        more,
        tracker=beam.DoFn.RestrictionParam(Ranges()),
        estimator=beam.DoFn.WatermarkEstimatorParam(MonotonicWatermarkEstimator.default_provider()),
    ):
        position = tracker.current_restriction().start
        while tracker.try_claim(position):
            yield TimestampedValue((size, position, more), position)
            position += 1


class Unbounded(Counting):
    @beam.DoFn.unbounded_per_element()
    def process(self, size, tracker=beam.DoFn.RestrictionParam(Ranges())):  # type: ignore[no-untyped-def]
        return super().process(size, tracker)


SPLITTABLE = {
    "a provider": lambda: beam.ParDo(Counting()),
    "its own provider": lambda: beam.ParDo(ItsOwnProvider()),
    "checkpoints": lambda: beam.ParDo(Checkpointing()),
    "a watermark": lambda: beam.ParDo(WithWatermark()),
    "a side input and a watermark": lambda: beam.ParDo(Monotonic(), "more"),
}


@pytest.mark.parametrize("name", SPLITTABLE)
def test_outputs_and_times_are_those_without_a_stage(name: str) -> None:
    staged = run(lambda p: p | beam.Create([3, 10, 0]) | observed(SPLITTABLE[name]()))
    plain = run(lambda p: p | beam.Create([3, 10, 0]) | SPLITTABLE[name]())
    assert staged.letters == []
    assert staged.emitted["main"] == plain.emitted["main"]


def test_what_is_unbounded_stays_so() -> None:
    made = beam.Pipeline() | beam.Create([3]) | "step" >> obs.Stage(beam.ParDo(Unbounded()))
    assert not made.is_bounded


def test_a_splittable_dofn_is_counted() -> None:
    counts = through([3, 10], beam.ParDo(Counting())).counts()
    assert counts.out == 13
    assert counts.dead == 0


def test_a_splittable_dofn_that_fails_half_way_fails_the_run() -> None:
    with pytest.raises(ValueError, match="thirteen"):
        through([20], beam.ParDo(Counting()))


def test_work_is_split_while_it_runs() -> None:
    class Slow(beam.DoFn):
        def process(self, size, tracker=beam.DoFn.RestrictionParam(Ranges())):  # type: ignore[no-untyped-def]
            position = tracker.current_restriction().start
            while tracker.try_claim(position):
                time.sleep(0.001)
                yield position
                position += 1

    assert sorted(through([50, 50], beam.ParDo(Slow())).values()) == sorted([*range(50), *range(50)])
