from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders.coders import BytesCoder, IntervalWindowCoder
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import window

import beam_obs as obs
from beam_obs.records.origin import Partition, position_of_message, unlocated_origin
from beam_obs.records.record_content import output_digest
from beam_obs.records.weave_report import NotWoven, WovenSink, WovenSource
from beam_obs.traces.incoming import INCOMING
from beam_obs.weaving import steps, units
from beam_obs.weaving.edge_check import MiswovenEdge
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.weave import weave
from beam_obs.weaving.weave_state import WeaveState
from beam_obs.woven.source_origins import BY_CONTENT, SourceOrigins, StampDoFn, Stamper
from beam_obs.wrapper.current_origin import current_origin
from beam_obs.wrapper.element_forms import KEYED, WOVEN
from beam_obs.wrapper.exception_note import note_of
from tests.io.pipelines import counters
from tests.weaving.provenance import made, read_rows, run_woven


def _pipeline() -> Any:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pairs = pipeline | "make" >> beam.Create([("a", 1), ("b", 2), ("a", 3)])
    sums = pairs | "sum" >> beam.CombinePerKey(sum)
    groups = pairs | "group" >> beam.GroupByKey()
    {"sums": sums, "groups": groups} | "both" >> beam.CoGroupByKey()
    pairs | "beside" >> beam.Map(lambda pair, others: pair, beam.pvalue.AsDict(sums))
    return pipeline


class Batched(beam.DoFn):
    def process_batch(self, batch: list[int], *_: Any) -> Iterator[list[int]]:
        yield [one + 1 for one in batch]

    def infer_output_type(self, input_type: Any) -> Any:
        return input_type

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        return beam.typehints.List[int]

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return beam.typehints.List[int]


def test_two_woven_graphs_of_the_same_program_are_equal() -> None:
    assert weave(_pipeline().to_runner_api()).proto == weave(_pipeline().to_runner_api()).proto


def test_they_are_equal_with_the_steps_that_write_evidence_too() -> None:
    settings = WeaveSettings(evidence="folder")
    assert (
        weave(_pipeline().to_runner_api(), settings).proto
        == weave(_pipeline().to_runner_api(), settings).proto
    )


def test_rows_of_one_step_alone_are_written_as_they_leave_it() -> None:
    def steps_of(filters: int) -> set[str]:
        pipeline = beam.Pipeline()
        numbers = pipeline | beam.Create([1, 2])
        for at in range(filters):
            numbers = numbers | f"odd {at}" >> beam.Filter(lambda number: number % 2)
        woven = weave(pipeline.to_runner_api(), WeaveSettings(evidence="folder")).proto
        return {node.unique_name.rpartition("/")[2] for node in woven.components.transforms.values()}

    # The last one's go to the output index.
    assert "filtered" in steps_of(2) & steps_of(3)
    assert "Filtered" in steps_of(3) - steps_of(2)


def test_rows_of_all_steps_come_together_in_one_coder() -> None:
    parts = weave(_pipeline().to_runner_api(), WeaveSettings(evidence="folder")).proto.components
    flattened = {
        node.unique_name: {parts.pcollections[one].coder_id for one in node.inputs.values()}
        | {parts.pcollections[one].coder_id for one in node.outputs.values()}
        for node in parts.transforms.values()
        if node.spec.urn == common_urns.primitives.FLATTEN.urn and "beam_obs" in node.unique_name
    }

    # A runner puts a step that transcodes before a Flatten for each of its inputs that has another.
    assert any(name.endswith("/Ledger") for name in flattened)
    assert all(len(coders) == 1 for coders in flattened.values()), flattened


def test_what_only_engines_do_names_no_environment() -> None:
    """Prism and Flink look for a step in the environment that it names, and fail there."""
    woven = weave(_pipeline().to_runner_api(), WeaveSettings(evidence="folder")).proto
    nodes = woven.components.transforms.values()
    found = [node for node in nodes if node.spec.urn == "beam:transform:group_by_key:v1"]
    assert [node.unique_name for node in found if "beam_obs" in node.unique_name] != []
    assert [node.unique_name for node in found if node.environment_id] == []


def test_the_given_proto_is_not_changed() -> None:
    proto = _pipeline().to_runner_api()
    before = api.Pipeline()
    before.CopyFrom(proto)

    weave(proto)

    assert proto == before


def test_every_step_that_can_be_is_woven() -> None:
    report = weave(_pipeline().to_runner_api(), WeaveSettings(strict=True)).report

    assert report.opaque == {}
    assert str(report) == f"lineage: {len(report.woven)} of {len(report.woven)} transforms"


class HeldBatches(Batched):
    def finish_bundle(self) -> Any:
        yield window.GlobalWindows.windowed_value(0)


WHY = "it takes or gives batches, and gives more when a bundle ends"


def _with_held_batches() -> Any:
    pipeline = beam.Pipeline(runner=FnApiRunner())
    numbers = pipeline | "make" >> beam.Create([1, 2, 3]).with_output_types(int)
    numbers | "held" >> beam.ParDo(HeldBatches()) | "behind" >> beam.Map(lambda number: number)
    return pipeline


def test_what_cannot_be_woven_is_named_with_its_reason() -> None:
    report = weave(_with_held_batches().to_runner_api()).report

    assert report.opaque == {"held": WHY, "behind": "its input has no origin"}
    assert f"2 opaque: held - {WHY}; behind - its input has no origin" in str(report)


def test_strict_refuses_what_cannot_be_woven() -> None:
    with pytest.raises(NotWoven, match="held - it takes or gives batches"):
        weave(_with_held_batches().to_runner_api(), WeaveSettings(strict=True))


def test_behind_an_opaque_step_there_is_no_origin_and_the_results_are_the_same() -> None:
    with weaving(), beam.Pipeline(runner=FnApiRunner()) as pipeline:
        numbers = pipeline | "make" >> beam.Create([1, 2]).with_output_types(int)
        held = numbers | "held" >> beam.ParDo(HeldBatches())
        both = (held, numbers) | beam.Flatten()
        origins = both | "look" >> beam.Map(lambda number: (number, current_origin() is not None))
        above = origins | beam.Filter(lambda pair: pair[0] > 0)
        assert_that(above, equal_to([(2, False), (3, False), (1, True), (2, True)]))


def test_batches_stay_batches_and_their_elements_come_from_the_batch(tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> Any:
        numbers = pipeline | "make" >> beam.Create([1, 2, 3], reshuffle=False).with_output_types(int)
        return numbers | "one" >> beam.ParDo(Batched()) | "two" >> beam.ParDo(Batched())

    ran = run_woven(build, str(tmp_path))

    assert sorted(value for value, _ in ran.outputs) == [3, 4, 5]
    everything = {made("make", at) for at in range(3)}
    assert all(ran.sources_of(origin) == everything for _, origin in ran.outputs)


class Multiplied(beam.DoFn):
    @beam.DoFn.yields_batches
    def process(self, number: int) -> Iterator[list[int]]:
        yield [number] * number

    def infer_output_type(self, input_type: Any) -> Any:
        return int

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return beam.typehints.List[int]


class Summed(Batched):
    @beam.DoFn.yields_elements
    def process_batch(self, batch: list[int], *_: Any) -> Iterator[int]:
        yield sum(batch)


def test_a_step_may_take_elements_and_give_batches_or_the_other_way_round(tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> Any:
        numbers = pipeline | "make" >> beam.Create([2, 3], reshuffle=False).with_output_types(int)
        return numbers | "multiply" >> beam.ParDo(Multiplied()) | "sum" >> beam.ParDo(Summed())

    ran = run_woven(build, str(tmp_path))

    found = {total: ran.sources_of(origin) for total, origin in ran.outputs}
    assert found == {4: {made("make", 0)}, 9: {made("make", 1)}}


@pytest.mark.parametrize("runner", ["fn_api", "bundles"])
def test_checks_of_types_as_a_pipeline_runs_make_no_difference(runner: str, tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> Any:
        numbers = pipeline | "make" >> beam.Create([1, 2]).with_output_types(int)
        more = numbers | "more" >> beam.Map(lambda number: number + 1).with_output_types(int)
        counted = numbers | "count" >> beam.combiners.Count.Globally()
        return [more, counted]

    ran = run_woven(build, str(tmp_path), runner, ["--runtime_type_check"])

    one, two = made("make", 0), made("make", 1)
    assert sorted(ran.seen[0]) == [(2, one), (3, two)]
    ((count, origin),) = ran.seen[1]
    assert count == 2
    assert ran.sources_of(origin) == {one, two}


def _with_windows(pipeline: Any) -> tuple[Any, Any]:
    """Returns what is behind a WindowInto, and what is beside it."""
    numbers = pipeline | "make" >> beam.Create([1, 2])
    look = beam.Map(lambda number: (number, current_origin() is not None))
    behind = numbers | "into" >> beam.WindowInto(window.FixedWindows(5)) | "behind" >> look
    return behind, numbers | "beside" >> beam.Map(lambda number: (number, current_origin() is not None))


def _fails_half_way(weave: WeaveState, node_id: str) -> None:
    if weave.label(node_id) != "into":
        steps.weave_window(weave, node_id)
        return
    (given,) = weave.graph.node(node_id).outputs.values()
    weave.set_form(given, WOVEN)
    weave.note_woven(node_id)
    raise ValueError("not foreseen")


def _gives_another_form(weave: WeaveState, node_id: str) -> None:
    steps.weave_window(weave, node_id)
    if weave.label(node_id) == "into":
        weave.forms[weave.graph.node(node_id).outputs["None"]] = KEYED


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (_fails_half_way, "the weave failed: ValueError: not foreseen"),
        (
            _gives_another_form,
            "the weave failed: MiswovenEdge: 'into' has keyed at its end None, and says woven",
        ),
    ],
)
def test_a_step_at_which_the_weave_fails_is_left_as_it_is_and_the_rest_is_woven(
    rule: Any, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setitem(sys.modules[weave.__module__]._RULES, units.WINDOW, rule)
    with (
        weaving(WeaveSettings(evidence=str(tmp_path))) as reports,
        beam.Pipeline(runner=FnApiRunner()) as pipeline,
    ):
        behind, beside = _with_windows(pipeline)
        assert_that(behind, equal_to([(1, False), (2, False)]), label="check behind")
        assert_that(beside, equal_to([(1, True), (2, True)]), label="check beside")

    opaque = reports[-1].opaque
    assert opaque["into"] == reason
    assert "beside" in reports[-1].woven
    assert set(opaque.values()) == {reason, "its input has no origin"}


def test_strict_refuses_a_step_at_which_the_weave_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules[weave.__module__]._RULES, units.WINDOW, _fails_half_way)
    pipeline = beam.Pipeline(runner=FnApiRunner())
    _with_windows(pipeline)

    with pytest.raises(NotWoven, match="into - the weave failed: ValueError: not foreseen"):
        weave(pipeline.to_runner_api(), WeaveSettings(strict=True))


def test_a_weave_that_fails_leaves_the_pipeline_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(weave: WeaveState) -> None:
        raise MiswovenEdge("an edge is wrong")

    monkeypatch.setattr(sys.modules[weave.__module__], "check_edges", fail)
    with weaving() as reports, beam.Pipeline(runner=FnApiRunner()) as pipeline:
        numbers = pipeline | "make" >> beam.Create([1, 2])
        origins = numbers | beam.Map(lambda number: (number, current_origin()))
        assert_that(origins, equal_to([(1, None), (2, None)]))

    assert reports[0].opaque == {"the whole pipeline": "the weave failed: MiswovenEdge: an edge is wrong"}


class KeyAndWindow(beam.DoFn):
    def process(self, pair: Any, key: Any = beam.DoFn.KeyParam, at: Any = beam.DoFn.TimestampParam) -> Any:
        yield key, pair, int(at)


class Whole(beam.DoFn):
    def process(self, pair: Any, windowed: Any = beam.DoFn.WindowedValueParam) -> Any:
        yield windowed.value


class Finalizing(beam.DoFn):
    def process(self, pair: Any, finalizer: Any = beam.DoFn.BundleFinalizerParam) -> Any:
        finalizer.register(lambda: None)
        yield pair


def test_a_bundle_finalizer_reaches_the_user(tmp_path: pathlib.Path) -> None:
    ran = run_woven(
        lambda pipeline: pipeline | "make" >> beam.Create([1]) | beam.ParDo(Finalizing()), str(tmp_path)
    )

    assert ran.outputs == [(1, made("make", 0))]


class Last(beam.DoFn):
    def process(self, first: int, value: Any = beam.DoFn.ElementParam, times: int = 1) -> Any:
        yield value[0], first * times


class ByElement(window.NonMergingWindowFn):
    """Puts each value into a window of its own number."""

    def assign(self, context: Any) -> Any:
        return [window.IntervalWindow(context.element[1], context.element[1] + 1)]

    def get_window_coder(self) -> Any:
        return IntervalWindowCoder()


@pytest.mark.parametrize("runner", ["fn_api", "bundles"])
def test_parameters_see_plain_values(runner: str, tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> Any:
        pairs = pipeline | "make" >> beam.Create([("a", 1)])
        stamped = pairs | "stamp" >> beam.Map(lambda pair: window.TimestampedValue(pair, 5))
        keys = stamped | "keys" >> beam.ParDo(KeyAndWindow())
        whole = stamped | "whole" >> beam.ParDo(Whole())
        last = stamped | "last" >> beam.ParDo(Last(), 7, times=2)
        return (keys, whole, last) | beam.Flatten()

    ran = run_woven(build, str(tmp_path), runner)

    assert sorted(ran.outputs, key=str) == [
        (value, made("make", 0)) for value in [("a", ("a", 1), 5), ("a", 1), ("a", 14)]
    ]


@pytest.mark.parametrize("runner", ["fn_api", "bundles"])
def test_a_window_fn_that_looks_at_elements_sees_them_plain(runner: str, tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> Any:
        pairs = pipeline | "make" >> beam.Create([("a", 1), ("a", 2), ("a", 1)])
        windowed = pairs | "by element" >> beam.WindowInto(ByElement())
        stamped = windowed | "again" >> beam.Map(lambda pair: window.TimestampedValue(pair, 3))
        return stamped | beam.GroupByKey() | beam.MapTuple(lambda key, values: (key, sorted(values)))

    ran = run_woven(build, str(tmp_path), runner)

    assert sorted(value for value, _ in ran.outputs) == [("a", [1, 1]), ("a", [2])]
    found = {tuple(value[1]): ran.sources_of(origin) for value, origin in ran.outputs}
    assert found == {(1, 1): {made("make", 0), made("make", 2)}, (2,): {made("make", 1)}}


def test_an_exception_is_noted_with_step_and_origin() -> None:
    def fail(number: int) -> int:
        raise ValueError("no")

    with weaving(), pytest.raises(Exception, match="no") as caught:  # noqa: PT012
        pipeline = beam.Pipeline(runner=FnApiRunner())
        pipeline | "make" >> beam.Create([1]) | "fail" >> beam.Map(fail)
        pipeline.run()

    said = f"beam_obs: in step 'fail', element of origin {made('make', 0).hex()} (position 0)"
    assert note_of(caught.value) == said


def test_an_aggregate_of_one_keeps_its_origin_and_makes_no_row(tmp_path: pathlib.Path) -> None:
    ran = run_woven(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create([(1, "a"), (2, "b")])
            | beam.GroupByKey()
            | beam.CombineValues(max)
        ),
        str(tmp_path),
    )

    assert sorted(ran.outputs) == [((1, "a"), made("make", 0)), ((2, "b"), made("make", 1))]
    assert ran.derivations == {}


def test_beyond_the_limit_the_same_contributors_are_kept_however_they_are_combined(
    tmp_path: pathlib.Path,
) -> None:
    kept = []
    for at, fanout in enumerate((None, 2, 5)):
        folder = tmp_path / str(at)
        folder.mkdir()

        def build(pipeline: Any, fanout: int | None = fanout) -> Any:
            numbers = pipeline | "make" >> beam.Create([("k", number) for number in range(100)])
            return numbers | "sum" >> beam.CombinePerKey(sum).with_hot_key_fanout(fanout)

        ran = run_woven(build, str(folder), limit=10)
        ((_, (row,)),) = ran.derivations.items()
        assert (row.count, len(row.contributors), row.complete) == (100, 10, False)
        kept.append(row.contributors)
    assert kept[0] == kept[1] == kept[2]


def test_derivations_do_not_depend_on_the_runner(tmp_path: pathlib.Path) -> None:
    found = []
    for runner in ("fn_api", "bundles"):
        folder = tmp_path / runner
        folder.mkdir()
        ran = run_woven(
            lambda pipeline: (
                pipeline
                | "make" >> beam.Create([(at % 3, at) for at in range(20)])
                | "when" >> beam.Map(lambda pair: window.TimestampedValue(pair, pair[1]))
                | "windows" >> beam.WindowInto(window.FixedWindows(7))
                | "sum" >> beam.CombinePerKey(sum)
                | "globally" >> beam.WindowInto(window.GlobalWindows())
                | "group" >> beam.GroupByKey()
            ),
            str(folder),
            runner,
        )
        found.append(ran.derivations)
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_the_output_index_leads_from_a_written_record_to_its_origin(tmp_path: pathlib.Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    with weaving(WeaveSettings(evidence=str(evidence))) as reports:
        pipeline = beam.Pipeline(runner=FnApiRunner())
        lines = pipeline | "make" >> beam.Create(["x", "y"])
        lines | "write" >> beam.io.WriteToText(str(tmp_path / "out"))
        pipeline.run().wait_until_finish()

    found = read_rows(str(evidence), "output_index")
    rows = {row["digest"]: (step, row["origin"]) for step, row in found}
    assert rows == {output_digest(text.encode()): ("write", made("make", at)) for at, text in enumerate("xy")}
    assert reports[0].sinks == [WovenSink("write", f"{tmp_path}/out", stamped=False)]
    written = "".join(path.read_text() for path in tmp_path.glob("out-*"))
    assert sorted(written.split()) == ["x", "y"]


def test_a_message_has_the_origin_of_its_id_however_often_it_comes() -> None:
    pytest.importorskip("google.cloud.pubsub")
    place = "projects/project-one/subscriptions/sub-one"
    pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))
    messages = pipeline | "in" >> beam.io.ReadFromPubSub(subscription=place, with_attributes=True)
    messages | "load" >> beam.Map(print)
    partition = Partition(place, "", wide=True)

    report = weave(pipeline.to_runner_api()).report
    message = PubsubMessage(b"x", {}, message_id="8842")
    stamper = Stamper(SourceOrigins(BY_CONTENT, Partition("in", "", located=False), {}, partition))

    assert report.sources == [
        WovenSource("in", Partition("in", "", located=False), "ReadFromPubSub"),
        WovenSource("in", partition, "ReadFromPubSub"),
    ]
    assert [stamper.stamp(message) for _ in range(2)] == [partition.origin(position_of_message("8842"))] * 2


def test_a_read_of_data_alone_is_asked_for_messages_and_gives_their_data() -> None:
    pytest.importorskip("google.cloud.pubsub")
    place = "projects/project-one/subscriptions/sub-one"
    pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))
    read = beam.io.ReadFromPubSub(subscription=place, id_label="trip", timestamp_attribute="at")
    _ = pipeline | "in" >> read | "load" >> beam.Map(print)

    woven = weave(pipeline.to_runner_api())

    (payload,) = [
        api.PubSubReadPayload.FromString(node.spec.payload)
        for node in woven.proto.components.transforms.values()
        if node.spec.urn == common_urns.composites.PUBSUB_READ.urn
    ]
    assert payload.with_attributes
    assert (payload.id_attribute, payload.timestamp_attribute) == ("trip", "at")
    assert woven.report.opaque == {}
    partition = Partition(place, "", wide=True)
    coders = {None: BytesCoder()}
    unlocated = Partition("in", "", located=False)
    stamp = StampDoFn(SourceOrigins(BY_CONTENT, unlocated, coders, partition, "trip", True), WOVEN)
    stamp.start_bundle()
    by_id, by_label = PubsubMessage(b"x", {}, message_id="8842"), PubsubMessage(b"y", {"trip": "7"}, "9")
    given = [result for message in (by_id, by_label, by_id) for result in stamp.process(message)]
    given += stamp.process(by_id._to_proto_str())  # as Dataflow gives it
    expected = [
        (partition.origin(position_of_message(one)), data) for one, data in (("8842", b"x"), ("7", b"y"))
    ]
    assert given == [*expected, expected[0], expected[0]]
    assert stamp.process(PubsubMessage(b"z", {}))[0][0] == unlocated_origin(unlocated, b"z", 0)


def test_a_message_with_a_torn_trace_is_counted_and_goes_on() -> None:
    pytest.importorskip("google.cloud.pubsub")
    partition = Partition("projects/project-one/subscriptions/sub-one", "", wide=True)
    source = SourceOrigins(BY_CONTENT, Partition("in", "", located=False), {}, partition)
    trace = "00-000102030405060708090a0b0c0d0e0f-0001020304050607-01"
    messages = [PubsubMessage(b"x", {"traceparent": text}, text[:4]) for text in (trace, "torn", trace[:-1])]
    p = beam.Pipeline("FnApiRunner")
    stamped = p | beam.Create(messages, reshuffle=False) | "stamp" >> beam.ParDo(StampDoFn(source, WOVEN))
    assert_that(stamped | beam.Map(lambda pair: pair[1].data), equal_to([b"x"] * 3))
    result = p.run()
    result.wait_until_finish()

    assert counters(result, "stamp") == {"traceparents_ignored": 2}
    came = INCOMING[partition.origin(position_of_message(trace[:4]))]
    assert (came.context.span_id, came.context.trace_flags.sampled) == (0x0001020304050607, True)


class Blocks(beam.DoFn):
    gives_records = False

    def process(self, _: Any) -> Any:
        yield Block([10, 20], [Partition("file", "1").origin(at) for at in (0, 3)])


class Block:
    def __init__(self, values: list[int], origins: list[bytes]) -> None:
        self.values = values
        self.origins = origins


class PassBlocks(beam.DoFn):
    passes_blocks = True

    def process(self, block: Block) -> Any:
        return block.values


def test_a_source_that_knows_where_its_records_lie_tells_their_origins(tmp_path: pathlib.Path) -> None:
    ran = run_woven(
        lambda pipeline: (
            pipeline | beam.Impulse() | "blocks" >> beam.ParDo(Blocks()) | "pass" >> beam.ParDo(PassBlocks())
        ),
        str(tmp_path),
    )

    partition = Partition("file", "1")
    assert sorted(ran.outputs) == [(10, partition.origin(0)), (20, partition.origin(3))]


def test_a_stage_in_a_woven_pipeline_keeps_its_dead_letters() -> None:
    with weaving(WeaveSettings(strict=True)), beam.Pipeline(runner=FnApiRunner()) as pipeline:
        texts = pipeline | "make" >> beam.Create(["1", "x", "3"])
        good, dead = texts | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
        assert_that(good, equal_to([1, 3]), label="good")
        assert_that(dead | beam.Map(lambda letter: letter.error_type), equal_to(["ValueError"]), label="dead")


def test_a_reader_of_ours_in_a_woven_pipeline_reads_the_same(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("a\nb\nc\n")
    with weaving(WeaveSettings()), beam.Pipeline(runner=FnApiRunner()) as pipeline:
        lines = pipeline | "read" >> obs.ReadFromText(str(path))
        assert_that(lines, equal_to(["a", "b", "c"]))
