"""Unbounded splittable sources run observed on the direct runner for streams, as they do bare."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.periodicsequence import PeriodicImpulse, PeriodicSequence

import beam_obs as obs


class Ranges(RestrictionProvider):
    def initial_restriction(self, element: int) -> OffsetRange:
        return OffsetRange(0, element)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: int, restriction: OffsetRange) -> int:
        return int(restriction.size())


class Endless(beam.DoFn):
    """Gives two numbers at a time."""

    @beam.DoFn.unbounded_per_element()
    def process(self, _: int, tracker: Any = beam.DoFn.RestrictionParam(Ranges())) -> Iterator[int]:  # noqa: B008
        at = tracker.current_restriction().start
        while tracker.try_claim(at):
            yield at
            at += 1
            if at % 2 == 0:
                tracker.defer_remainder()
                return


def impulse() -> PeriodicImpulse:
    now = time.time()
    return PeriodicImpulse(now, now + 0.3, 0.2)


def fail(element: Any) -> None:
    raise ValueError("no")


def impulse_and_stage(p: Any) -> Any:
    return p | "ticks" >> impulse() | "n" >> obs.Stage(beam.Map(lambda tick: 1))


def impulse_and_refusals(p: Any) -> Any:
    return p | "ticks" >> impulse() | "n" >> obs.Stage(beam.Map(fail))


def source(p: Any) -> Any:
    return p | "n" >> obs.Source(impulse()) | beam.Map(lambda tick: 1)


def plain_steps(p: Any) -> Any:
    ticks = p | "ticks" >> impulse() | "windows" >> beam.WindowInto(beam.window.FixedWindows(1))
    return ticks | "key" >> beam.WithKeys(0) | "group" >> beam.GroupByKey()


def sequence_in_a_stage(p: Any) -> Any:
    now = time.time()
    return p | beam.Create([(now, now + 0.3, 0.2)]) | "n" >> obs.Stage(PeriodicSequence())


def splittable_in_a_stage(p: Any) -> Any:
    return p | beam.Create([4]) | "n" >> obs.Stage(beam.ParDo(Endless()))


@pytest.mark.parametrize(
    ("build", "lineage"),
    [
        (impulse_and_stage, "woven"),
        (impulse_and_stage, "off"),
        (impulse_and_refusals, "woven"),
        (source, "woven"),
        (plain_steps, "woven"),
        (sequence_in_a_stage, "woven"),
        (splittable_in_a_stage, "woven"),
    ],
)
def test_a_stream_of_a_splittable_source_runs(
    build: Callable[[Any], Any], lineage: str, tmp_path: pathlib.Path
) -> None:
    options = PipelineOptions(
        [
            "--runner=DirectRunner",
            "--streaming",
            "--obs_report=off",
            f"--obs_store={tmp_path}",
            f"--obs_lineage={lineage}",
        ]
    )

    with obs.Pipeline(options=options, name="ticks") as p:
        build(p)

    run = obs.Store(str(tmp_path)).find("ticks@latest")
    end: Any = run.end
    assert run.status == "done"
    assert end["dead_letters"]["count"] == (2 if build is impulse_and_refusals else 0)
    if lineage == "woven":
        assert "the whole pipeline" not in end["lineage"]["opaque"]
