"""Of a batch each sampled record has a span, and what is made of the batch one that links to them.

Beam reads annotations as they are.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import RunInference
from opentelemetry import trace

from beam_obs.records.span_rows import ERROR
from tests.traces.traced_runs import all_spans_in, named, parent_of, run_traced, spans_in, way_to
from tests.woven.test_batches import Expanding, Inverting, Lists
from tests.woven.test_inference import Doubles, bare, fewer

TRACER = trace.get_tracer("of the user")


class Watched(Lists):
    def process_batch(self, batch: list[int]) -> Iterator[list[int]]:
        with TRACER.start_as_current_span("inside"):
            yield [840 // number for number in batch]


def numbers(pipeline: beam.Pipeline, kind: Any, *found: int) -> Any:
    return (
        pipeline
        | "read" >> beam.Create(found, reshuffle=False)
        | "typed" >> beam.Map(kind).with_output_types(kind)
    )


def test_each_record_of_a_batch_has_a_span_that_lasts_as_long_as_the_batch(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = numbers(pipeline, np.int64, 1, 2, 3) | "batch" >> beam.ParDo(Inverting()) | "on" >> beam.Map(int)

    spans = run_traced(tmp_path, build)

    (made,) = [span for span in named(spans, "batch") if span.links]
    records = [span for span in named(spans, "batch") if not span.links]
    assert [way_to(spans, span) for span in records] == [["read", "read/Map(decode)", "typed", "batch"]] * 3
    assert {span.attributes["beam.batch.size"] for span in records} == {3}
    assert len({(span.end - span.start) // 1_000_000 for span in records}) <= 2
    assert {link.span_id for link in made.links} == {span.span_id for span in records}
    assert [parent_of(spans, span) for span in named(spans, "on")] == [made] * 3


def test_of_a_batch_only_sampled_records_have_spans(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = numbers(pipeline, int, *range(1, 101)) | "batch" >> beam.ParDo(Expanding())

    spans = run_traced(tmp_path, build, "--obs_trace_share=0.1")

    records = {span.trace_id for span in named(spans, "batch") if not span.links}
    assert records == {span.trace_id for span in named(spans, "typed")}
    assert 1 < len(records) < 40


def test_a_users_span_in_a_batch_is_below_one_of_its_records(tmp_path: pathlib.Path) -> None:
    run_traced(tmp_path, lambda p: numbers(p, int, 1, 2) | "batch" >> beam.ParDo(Watched()))

    spans = all_spans_in(tmp_path)
    (inside, *_) = named(spans, "inside")
    above = parent_of(spans, inside)
    assert above is not None
    assert above.name == "batch"


def test_a_batch_that_fails_is_told_of_each_of_its_records(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_traced(tmp_path, lambda p: numbers(p, np.int64, 1, 0) | "batch" >> beam.ParDo(Inverting()))

    failed = [span for span in spans_in(tmp_path) if span.status == ERROR]
    assert len({span.trace_id for span in failed}) == 2
    assert {span.attributes["error.type"] for span in failed} == {"ZeroDivisionError"}


@pytest.mark.parametrize("answers", [bare, fewer], ids=["in order", "not in order"])
def test_each_example_of_an_inference_has_a_span(answers: Any, tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        examples = pipeline | "read" >> beam.Create([1, 2, 3], reshuffle=False)
        _ = examples | "infer" >> RunInference(Doubles(answers)) | "on" >> beam.Map(str)

    spans = run_traced(tmp_path, build)

    inferred = [
        span for span in spans if span.name.startswith("infer/") and "beam.batch.size" in span.attributes
    ]
    assert len({span.trace_id for span in inferred}) == 3
    assert {way_to(spans, span)[0] for span in inferred} == {"read"}
    for span in named(spans, "on"):
        above = parent_of(spans, span)
        assert above in inferred or (above is not None and len(above.links) == 3)
