"""A sampled record has a span at every step, whatever the step is, and its results are what they were."""

# ruff: noqa: B008 - Beam wants its parameters as defaults.
from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec
from opentelemetry import trace

import beam_obs as obs
from beam_obs.testing import RetryingRunner
from beam_obs.traces.span_ids import span_id_of
from tests.traces.traced_runs import all_spans_in, named, parent_of, run_traced, spans_in, way_to

TRACER = trace.get_tracer("of the user")


def inside(value: Any) -> Any:
    with TRACER.start_as_current_span("inside"):
        return value


def to_int(text: str) -> int:
    return int(text)


class Twice(beam.DoFn):
    def process(self, value: Any) -> Iterator[Any]:
        with TRACER.start_as_current_span("inside"):
            yield value
        yield value


class Nested(beam.DoFn):
    def process(self, value: Any) -> Iterator[Any]:
        with TRACER.start_as_current_span("held"):
            yield value
            with TRACER.start_as_current_span("within"):
                yield value
        with TRACER.start_as_current_span("after"):
            yield value


class Summed(beam.DoFn):
    PARAM = beam.DoFn.StateParam(ReadModifyWriteStateSpec("total", VarIntCoder()))

    def process(self, pair: Any, total: Any = PARAM) -> Iterator[int]:
        total.write((total.read() or 0) + pair[1])
        yield total.read()


class AtTheEnd(beam.DoFn):
    def start_bundle(self) -> None:
        self._held: list[Any] = []

    def process(self, value: Any) -> None:
        self._held.append(value)

    def finish_bundle(self) -> Iterator[Any]:
        for value in self._held:
            yield beam.transforms.window.GlobalWindows.windowed_value(value)


class Parts(RestrictionProvider):
    def initial_restriction(self, element: Any) -> OffsetRange:
        return OffsetRange(0, 2)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:
        return restriction.size()


class Splittable(beam.DoFn):
    def process(self, element, tracker=beam.DoFn.RestrictionParam(Parts())):  # type: ignore[no-untyped-def]
        position = tracker.current_restriction().start
        while tracker.try_claim(position):
            yield element, position
            position += 1


STEPS = {
    "map": lambda: beam.Map(str),
    "map of pairs": lambda: beam.MapTuple(lambda one, other: one),
    "filter": lambda: beam.Filter(bool),
    "flat map": lambda: beam.FlatMap(lambda pair: list(pair)),
    "flat map, lazily": lambda: beam.FlatMap(lambda pair: iter(pair)),
    "generator": lambda: beam.ParDo(Twice()),
    "state": lambda: beam.ParDo(Summed()),
    "end of the bundle": lambda: beam.ParDo(AtTheEnd()),
    "stage": lambda: obs.Stage(beam.Map(str)),
    "stage of a generator": lambda: obs.Stage(beam.ParDo(Twice())),
    "stage that passes on": lambda: obs.Stage(beam.ParDo(Twice()), partial=True),
    "splittable": lambda: beam.ParDo(Splittable()),
    "stage of a splittable": lambda: obs.Stage(beam.ParDo(Splittable()), partial=True),
    "group": beam.GroupByKey,
    "combine": lambda: beam.CombinePerKey(sum),
    "lists": lambda: beam.BatchElements(1, 1),
    "text": lambda: beam.io.WriteToText("written"),
    "text in one file": lambda: beam.io.WriteToText("one", num_shards=1),
    "files": lambda: beam.io.fileio.WriteToFiles(".", sink=lambda _: TextOfAnything()),
    "text by us": lambda: obs.WriteToText("ours"),
}
NAMES = {"lists": "lists/ParDo(_GlobalWindowsBatchingDoFn)"}


class TextOfAnything(beam.io.fileio.TextSink):  # type: ignore[misc, unused-ignore]
    def write(self, record: Any) -> None:
        super().write(str(record))


@pytest.mark.parametrize("step", STEPS)
def test_each_kind_of_step_has_a_span_for_each_record(
    step: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spans = run_traced(
        tmp_path, lambda p: p | "read" >> beam.Create([("a", 1), ("b", 2)]) | step >> STEPS[step]()
    )

    found = {span.trace_id: span for span in named(spans, NAMES.get(step, step)) if not span.links}
    assert len(found) == 2
    assert {way_to(spans, span)[0] for span in found.values()} == {"read"}
    assert set(found) == {span.attributes["beam.origin"] for span in found.values()}
    assert all(0 < span.end - span.start < 5e9 for span in spans)


def test_a_record_is_followed_from_its_source_over_shuffles(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        read = pipeline | "read" >> beam.Create(["1", "2"], reshuffle=False)
        left = read | "left" >> beam.Map(int) | beam.Reshuffle() | "on" >> beam.Map(str)
        right = read | "right" >> beam.Map(str)
        _ = (left, right) | beam.Flatten() | "last" >> beam.Map(print)

    spans = run_traced(tmp_path, build)

    source = next(span for span in named(spans, "read") if span.attributes["beam.position"] == 0)
    of_record = [span for span in spans if span.trace_id == source.trace_id]
    assert way_to(of_record, *named(of_record, "on")) == ["read", "read/Map(decode)", "left", "on"]
    assert way_to(of_record, *named(of_record, "right")) == ["read", "read/Map(decode)", "right"]
    # Which way it came is not known behind a Flatten that a runner holds apart.
    ways = {tuple(way_to(of_record, span)) for span in named(of_record, "last")}
    assert ways == {("read", "read/Map(decode)", "last")}
    assert "ot=th:0" in source.trace_state


def test_only_a_share_of_records_is_traced_at_every_step_alike(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        read = pipeline | beam.Create(list(range(400)), reshuffle=False)
        _ = (
            read
            | "one" >> beam.Map(str)
            | "two" >> beam.Map(str)
            | beam.Reshuffle()
            | "three" >> beam.Map(str)
        )

    spans = run_traced(tmp_path, build, "--obs_trace_share=0.1")

    one, two, three = ({span.trace_id for span in named(spans, name)} for name in ("one", "two", "three"))
    assert one == two == three
    assert 15 < len(one) < 80
    assert all(int(origin[-14:], 16) >= 0.9 * 2**56 for origin in one)


def test_a_step_may_have_a_share_of_its_own(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create(list(range(20))) | "one" >> beam.Map(str) | "two" >> beam.Map(str)

    spans = run_traced(tmp_path, build, "--obs_trace_share=0,two=1")

    assert len(named(spans, "one")) == 0
    assert len(named(spans, "two")) == 20
    assert not any(span.parent_id for span in named(spans, "two"))


def test_a_share_of_a_step_that_there_is_not_is_told(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "read" >> beam.Create([1]) | "parse" >> beam.Map(str)

    run_traced(tmp_path, build, "--obs_trace_share=0,pasre=1,read=1,read/Map(decode)=1")

    told = [one for one in caplog.messages if "--obs_trace_share" in one]
    assert told == ["--obs_trace_share: the pipeline has no step 'pasre'; did you mean 'parse'?"]


def test_spans_of_user_code_are_children_of_the_steps(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | beam.Create([1])
            | "map" >> beam.Map(inside)
            | "twice" >> beam.ParDo(Twice())
            | beam.Map(inside)
        )

    run_traced(tmp_path, build)

    spans = all_spans_in(tmp_path)
    above = sorted(getattr(parent_of(spans, span), "name", "") for span in named(spans, "inside"))
    # What is behind a generator that is half way through is no child of it.
    assert above == ["Map(inside)", "Map(inside)", "map", "twice"]


def test_a_users_span_that_is_open_across_a_result_is_current_for_the_next(tmp_path: pathlib.Path) -> None:
    run_traced(
        tmp_path,
        lambda p: p | beam.Create([1]) | "nested" >> beam.ParDo(Nested()) | "behind" >> beam.Map(inside),
    )

    spans = all_spans_in(tmp_path)
    above = {span.name: parent_of(spans, span) for span in spans if span.name in ("held", "within", "after")}
    assert {name: span and span.name for name, span in above.items()} == {
        "held": "nested",
        "within": "held",
        "after": "nested",
    }
    assert len(named(spans, "inside")) == 3
    assert {getattr(parent_of(spans, span), "name", "") for span in named(spans, "inside")} == {"behind"}


def test_an_aggregate_links_to_the_spans_of_what_it_is_made_of(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        pairs = (
            pipeline | beam.Create([("a", 1), ("a", 2), ("b", 3)]) | "pairs" >> beam.Map(lambda pair: pair)
        )
        _ = pairs | "group" >> beam.GroupByKey() | "sum" >> beam.MapTuple(lambda key, values: sum(values))
        _ = pairs | "combine" >> beam.CombinePerKey(sum) | "print" >> beam.Map(print)
        _ = {"a": pairs} | "join" >> beam.CoGroupByKey() | "joined" >> beam.Map(str)

    spans = run_traced(tmp_path, build)

    within = "join/CoGroupByKeyImpl/"
    for before, name, behind in (
        ("pairs", "group", "sum"),
        ("pairs", "combine", "print"),
        (f"{within}Tag[a]", f"{within}GroupByKey", f"{within}MapTuple(collect_values)"),
    ):
        made = [span for span in named(spans, name) if span.links]
        (aggregate,) = made
        linked = {(link.trace_id, link.span_id) for link in aggregate.links}
        assert linked < {(span.trace_id, span.span_id) for span in named(spans, before)}
        assert len(linked) == 2
        assert aggregate.attributes["beam.contributors"] == 2
        assert aggregate.parent_id == ""
        (of_aggregate,) = [span for span in named(spans, behind) if span.trace_id == aggregate.trace_id]
        assert parent_of(spans, of_aggregate) == aggregate
        # That of one element goes on in its trace.
        (alone,) = [span for span in named(spans, name) if not span.links]
        above = parent_of(spans, alone)
        assert above is not None
        assert above.name == before


def test_a_bundle_that_is_tried_again_gives_the_same_ids(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        read = pipeline | beam.Create([("a", 1), ("b", 2)], reshuffle=False)
        _ = read | "twice" >> beam.ParDo(Twice()) | beam.GroupByKey() | "last" >> beam.Map(print)

    spans = run_traced(tmp_path, build, runner=RetryingRunner(2))

    for name in ("twice", "last"):
        ids = [span.span_id for span in named(spans, name)]
        assert len(ids) == 4
        assert len(set(ids)) == 2
        assert len({span.attributes["beam.bundle"] for span in named(spans, name)}) >= 2
    (first, *_) = named(spans, "twice")
    expected = span_id_of(bytes.fromhex(first.trace_id), "twice", first.attributes["beam.run_id"])
    assert f"{expected:016x}" in {span.span_id for span in named(spans, "twice")}


@pytest.mark.usefixtures("processes_as_workers")
@pytest.mark.slow
def test_several_bundles_and_workers_agree(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        read = pipeline | beam.Create([str(n) for n in range(60)])
        _ = read | "to int" >> beam.Map(to_int) | beam.Reshuffle() | "to text" >> beam.Map(str)

    spans = run_traced(
        tmp_path,
        build,
        "--obs_trace_share=1",
        "--direct_num_workers=2",
        "--direct_running_mode=multi_processing",
    )

    assert len({span.trace_id for span in named(spans, "to text")}) == 60
    assert len({span.attributes["beam.bundle"] for span in named(spans, "to int")}) > 1
    for span in named(spans, "to text"):
        above = parent_of(spans, span)
        assert above is not None
        assert above.name == "to int"


def test_what_a_function_raises_is_raised_and_told(tmp_path: pathlib.Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | beam.Create(["1", "x"]) | "parse" >> beam.Map(to_int)

    for share in (1, 0):
        store = tmp_path / str(share)
        with pytest.raises(ValueError, match="invalid literal"):
            run_traced(store, build, f"--obs_trace_share={share}")

        (failed,) = [span for span in spans_in(store) if span.status == 2]
        assert failed.name == "parse"
        assert failed.attributes["error.type"] == "ValueError"
        (event,) = failed.events
        assert event.attributes["exception.message"] == "invalid literal for int() with base 10: 'x'"
