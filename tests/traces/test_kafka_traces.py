"""Records of Kafka that came with a trace: their spans go on in it, whatever share of others is traced."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.traces.incoming import INCOMING
from tests.io.pipelines import Keeper
from tests.traces.traced_runs import named, run_traced

TRACE = "000102030405060708090a0b0c0d0e0f"
SENDER = "0001020304050607"
RARELY = "--obs_trace_share=0.0000001"


@pytest.fixture(autouse=True)
def nothing_came_before() -> Iterator[None]:
    INCOMING.clear()
    yield
    INCOMING.clear()


class ReadFromKafka(beam.PTransform):  # type: ignore[misc]
    """In the place of Beam's, which needs Java: what a step may have come with is told by its name."""

    def __init__(self, flags: str) -> None:
        super().__init__()
        self._flags = flags

    def expand(self, pipeline: Any) -> Any:
        return pipeline | beam.Create([self._flags], reshuffle=False)


# As of a program: nothing but the name of the class tells of Kafka.
ReadFromKafka.__module__ = "__main__"


def enter(flags: str) -> str:
    obs.continue_trace([("traceparent", f"00-{TRACE}-{SENDER}-{flags}".encode())])
    return flags


def fail(flags: str) -> str:
    raise ValueError(flags)


def headers(_: Any) -> str:
    (header,) = [one for one in obs.trace_headers() if one.key == "traceparent"]
    return str(header.value.decode())


def traced(folder: pathlib.Path, *steps: Any, flags: str = "01") -> list[Any]:
    def build(pipeline: beam.Pipeline) -> None:
        pcoll = pipeline | "read" >> ReadFromKafka(flags) | "enter" >> beam.Map(enter)
        for number, step in enumerate(steps):
            pcoll = pcoll | f"step {number}" >> step

    return run_traced(folder, build, RARELY, "--obs_max_dead_rate=1")


def test_what_came_with_the_flag_is_traced_and_keeps_its_origin(tmp_path: pathlib.Path) -> None:
    spans = traced(tmp_path, beam.Map(str), beam.Map(str))

    assert {span.trace_id for span in spans} == {TRACE}
    below = {span.parent_id: span for span in spans}
    way, at = [], SENDER
    while at in below:
        way.append(below[at].name)
        at = below[at].span_id
    assert way == ["enter", "step 0", "step 1"]
    (origin,) = {span.attributes["beam.origin"] for span in spans}
    assert origin != TRACE


def test_what_came_without_it_is_not(tmp_path: pathlib.Path) -> None:
    assert traced(tmp_path, beam.Map(str), flags="00") == []


def test_what_is_refused_is_told_in_the_trace_that_it_came_with(tmp_path: pathlib.Path) -> None:
    spans = traced(tmp_path, obs.Stage(beam.Map(fail)), flags="00")

    (refused,) = named(spans, "step 0")
    (letter,) = list(obs.read_dead_letters("latest", store=obs.Store(str(tmp_path))))
    assert refused.trace_id == TRACE
    assert letter.traceparent is not None
    assert letter.traceparent.startswith(f"00-{TRACE}-{refused.span_id}-")


def test_what_leaves_tells_of_the_span_that_gave_it(tmp_path: pathlib.Path) -> None:
    found = Keeper()
    spans = traced(tmp_path, beam.Map(headers), beam.Map(found))

    (left,) = named(spans, "step 0")
    (told,) = found.elements
    assert told.startswith(f"00-{TRACE}-{left.span_id}-")
    assert int(told[-2:], 16) & 1
    assert named(spans, "step 1")[0].parent_id == left.span_id
