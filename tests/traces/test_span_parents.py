"""The parent of a span is one that was made, and that the element has come from, whatever lies between."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.records.span_rows import SpanRow
from beam_obs.testing import RetryingRunner
from tests.traces.traced_runs import named, run_traced, way_to


def read(pipeline: beam.Pipeline, label: str, *found: Any) -> Any:
    return pipeline | label >> beam.Create(found, reshuffle=False)


def orphans(spans: Iterable[SpanRow]) -> list[str]:
    """Returns the names of the spans whose parents are not there."""
    known = {span.span_id for span in spans}
    return [span.name for span in spans if span.parent_id and span.parent_id not in known]


def test_behind_sources_that_meet_the_parent_is_the_records_own_source(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        left = read(pipeline, "left", 1, 2) | "changed" >> beam.Map(str)
        both = (left, read(pipeline, "right", 3)) | beam.Flatten()
        _ = both | "last" >> beam.Map(str) | beam.Reshuffle() | "after" >> beam.Map(str)

    spans = run_traced(tmp_path, build)

    assert orphans(spans) == []
    for name in ("last", "after"):
        assert sorted(way_to(spans, span)[0] for span in named(spans, name)) == ["left", "left", "right"]
    assert sorted(span.name for span in spans if not span.parent_id) == ["left", "left", "right"]
    assert all(way_to(spans, span)[-2:] == ["last", "after"] for span in named(spans, "after"))


def test_what_a_flatten_takes_straight_from_files_has_its_sources_too(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}\n")

    def build(pipeline: beam.Pipeline) -> None:
        both = [pipeline | f"read {name}" >> beam.io.ReadFromText(str(tmp_path / name)) for name in "ab"]
        _ = both | beam.Flatten() | "last" >> beam.Map(str)

    spans = run_traced(tmp_path / "store", build)

    assert orphans(spans) == []
    ways = {tuple(way_to(spans, span)) for span in named(spans, "last")}
    assert ways == {("read a/Read", "last"), ("read b/Read", "last")}
    source = next(span for span in spans if span.name == "read a/Read")
    assert source.attributes["beam.source.uri"] == str(tmp_path / "a")


def test_elements_of_one_origin_have_spans_of_their_own_behind_shuffles(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        words = read(pipeline, "read", "a b c a") | "words" >> beam.FlatMap(lambda text: text.split())
        moved = words | "move" >> beam.Reshuffle() | "each" >> beam.Map(lambda word: word.upper())
        pairs = moved | "keyed" >> beam.WithKeys(lambda word: word)
        _ = pairs | "move on" >> beam.Reshuffle() | "last" >> beam.MapTuple(lambda key, word: word)

    workers = ("--obs_trace_share=1", "--direct_running_mode=multi_threading", "--direct_num_workers=2")
    spans = run_traced(tmp_path, build, *workers)
    # Nothing else of "a" than when it was there tells it from the other: three are sure.
    assert len({span.span_id for span in named(spans, "each")}) >= 3
    assert orphans(spans) == []
    for name in ("each", "last"):
        assert {way_to(spans, span)[-2] for span in named(spans, name)} == {"words"}


def test_the_ids_of_elements_of_one_origin_are_the_same_when_a_bundle_is_tried_again(
    tmp_path: pathlib.Path,
) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        words = read(pipeline, "read", "a b a") | "words" >> beam.FlatMap(lambda text: text.split())
        _ = words | beam.Reshuffle() | "each" >> beam.Map(lambda word: word.upper())

    spans = named(run_traced(tmp_path, build, runner=RetryingRunner(2)), "each")

    assert len(spans) == 6
    assert len({span.span_id for span in spans}) == 3


@pytest.mark.parametrize("step", ["state", "bundle", "window"])
def test_what_is_made_of_several_elements_is_the_parent_of_what_follows(
    step: str, tmp_path: pathlib.Path
) -> None:
    from tests.traces.test_record_spans import AtTheEnd, Summed

    steps = {
        "state": lambda: beam.ParDo(Summed()),
        "bundle": lambda: beam.ParDo(AtTheEnd()),
        "window": lambda: beam.WindowInto(beam.window.SlidingWindows(2, 1)),
    }

    def build(pipeline: beam.Pipeline) -> None:
        pairs = read(pipeline, "read", ("a", 1), ("a", 2)) | step >> steps[step]()
        after = pairs | beam.Reshuffle() | "after" >> beam.Map(str)
        _ = after | "move on" >> beam.Reshuffle() | "last" >> beam.Map(str)

    spans = run_traced(tmp_path, build)

    assert named(spans, "last")
    assert orphans(spans) == []


def test_files_that_are_read_by_their_names_begin_traces_of_their_own(tmp_path: pathlib.Path) -> None:
    (tmp_path / "lines").write_text("a\nb\n")

    def build(pipeline: beam.Pipeline) -> None:
        lines = read(pipeline, "names", str(tmp_path / "lines")) | "read" >> beam.io.ReadAllFromText()
        _ = lines | "last" >> beam.Map(str)

    spans = run_traced(tmp_path / "store", build)

    assert orphans(spans) == []
    ways = [way_to(spans, span) for span in named(spans, "last")]
    assert ways == [["read/ReadAllFiles/ReadRange", "last"]] * 2


@pytest.mark.parametrize("kind", ["create", "text", "csv", "avro"])
def test_the_span_of_a_source_lasts_as_long_as_it_took(kind: str, tmp_path: pathlib.Path) -> None:
    if kind == "avro":
        schema = {"type": "record", "name": "one", "fields": [{"name": "a", "type": "string"}]}
        with beam.Pipeline("FnApiRunner") as p:
            rows = p | beam.Create([{"a": "1"}, {"a": "2"}])
            _ = rows | beam.io.WriteToAvro(str(tmp_path / "rows"), schema, shard_name_template="")
    else:
        (tmp_path / "rows").write_text("a\n1\n2\n")
    path = str(tmp_path / "rows")
    sources = {
        "create": lambda: beam.Create([1, 2]),
        "text": lambda: beam.io.ReadFromText(path, skip_header_lines=1),
        "csv": lambda: obs.ReadFromCsv(path),
        "avro": lambda: beam.io.ReadFromAvro(path),
    }

    spans = run_traced(tmp_path / "store", lambda p: p | "read" >> sources[kind]() | "on" >> beam.Map(str))

    roots = [span for span in spans if not span.parent_id]
    assert len(roots) == 2
    assert all(span.end > span.start for span in roots)
    assert all(span.end <= min(one.start for one in named(spans, "on")) for span in roots[:1])


def test_what_is_refused_and_not_sampled_says_where_it_lies(tmp_path: pathlib.Path) -> None:
    (tmp_path / "rows").write_text("1\nx\n3\n")

    def build(pipeline: beam.Pipeline) -> None:
        lines = pipeline | "read" >> beam.io.ReadFromText(str(tmp_path / "rows"))
        _ = lines | "parse" >> obs.Stage(beam.Map(int))

    spans = run_traced(tmp_path / "store", build, "--obs_trace_share=0", "--obs_max_dead_rate=1")

    (refused,) = spans
    assert refused.parent_id == ""
    told = (refused.attributes["beam.source.uri"], refused.attributes["beam.position"])
    assert told == (str(tmp_path / "rows"), 2)
