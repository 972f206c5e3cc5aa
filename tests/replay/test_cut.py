"""What stays of a pipeline that is cut at a stage."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.coders.coders import MapCoder, StrUtf8Coder
from apache_beam.coders.row_coder import RowCoder
from apache_beam.io import fileio
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.transforms.window import FixedWindows, GlobalWindows
from apache_beam.typehints.schemas import named_fields_to_schema

import beam_obs as obs
from beam_obs.records.payload import coder_name, portable_coder
from beam_obs.replay.coder_comparison import coder_difference
from beam_obs.replay.letter_cut import LetterSteps, cut_at_stages
from beam_obs.replay.letter_source import FindLetters, GiveRecords, is_window_of, parse_window
from beam_obs.replay.pipeline_cut import Cut
from beam_obs.weaving.portable_graph import keep_types

Build = Callable[[Any], object]


def cut_at(stages: tuple[str, ...], build: Build) -> Cut:
    pipeline = obs.Pipeline("FnApiRunner", argv=[], name="cut")
    build(pipeline)
    proto = pipeline.to_runner_api(use_fake_coders=True)
    keep_types(proto)
    steps = {stage: LetterSteps(FindLetters("file", stage), GiveRecords(VarIntCoder())) for stage in stages}
    cut = cut_at_stages(proto, steps)
    assert_is_whole(cut.proto)
    return cut


def assert_is_whole(proto: api.Pipeline) -> None:
    """Each PCollection has one maker and nothing is taken that is not made; and Beam can read it back."""
    nodes = proto.components.transforms.values()
    made = [pcoll for node in nodes if not node.subtransforms for pcoll in node.outputs.values()]
    taken = {pcoll for node in nodes for pcoll in node.inputs.values()}
    assert taken <= set(made)
    assert set(made) == set(proto.components.pcollections)
    beam.Pipeline.from_runner_api(
        proto, beam.runners.DirectRunner(), beam.options.pipeline_options.PipelineOptions([])
    )


def leaves_of(pipeline: Any) -> set[str]:
    nodes = pipeline.to_runner_api(use_fake_coders=True).components.transforms.values()
    ends = [node for node in nodes if set(node.outputs.values()) - set(node.inputs.values())]
    return {node.unique_name for node in ends if not node.subtransforms}


def users_labels(cut: Cut) -> set[str]:
    return {label.split("/")[0] for label in cut.labels}


def test_side_inputs_are_made_again_and_branches_are_not() -> None:
    def build(p: Any) -> None:
        rates = p | "rates" >> beam.Create([1]) | "double" >> beam.Map(lambda rate: 2 * rate)
        numbers = p | "numbers" >> beam.Create([1])
        parsed = numbers | "parse" >> obs.Stage(beam.Map(max, beam.pvalue.AsSingleton(rates)))
        _ = numbers | "branch" >> beam.Map(print)
        _ = parsed | "later" >> beam.Map(print)

    cut = cut_at(("parse",), build)
    assert users_labels(cut) == {"rates", "double", "parse", "later"}
    assert (cut.aggregates, cut.merges, cut.left_out) == ((), (), ())


def test_what_takes_replayed_records_beside_its_own_is_left_out() -> None:
    def build(p: Any) -> None:
        parsed = p | "numbers" >> beam.Create([1]) | "parse" >> obs.Stage(beam.Map(abs))
        others = p | "others" >> beam.Create([1])
        beside = others | "beside" >> beam.Map(lambda one, known: one, beam.pvalue.AsList(parsed))
        _ = (beside, parsed) | "merge" >> beam.Flatten() | "sum" >> beam.CombineGlobally(sum)

    cut = cut_at(("parse",), build)
    assert users_labels(cut) == {"parse", "merge", "sum"}
    assert (cut.aggregates, cut.merges) == (("sum",), ("merge",))
    assert cut.left_out == ("beside",)


def test_what_is_made_for_a_side_input_does_not_come_by_the_main_one() -> None:
    def build(p: Any) -> None:
        numbers = p | "numbers" >> beam.Create([1])
        parsed = numbers | "parse" >> obs.Stage(beam.Map(max, beam.pvalue.AsSingleton(numbers)))
        _ = (parsed, numbers) | "merge" >> beam.Flatten() | "last" >> beam.Map(abs)

    cut = cut_at(("parse",), build)
    assert users_labels(cut) == {"numbers", "parse", "merge", "last"}
    assert cut.merges == ("merge",)
    nodes = {node.unique_name: node for node in cut.proto.components.transforms.values()}
    (given,) = nodes["letters of parse/Give"].outputs.values()
    assert given in nodes["parse/Observed"].inputs.values()
    assert list(nodes["merge"].inputs.values()) == [nodes["parse/Observed"].outputs["None"]]
    assert "letters of parse/and others" not in nodes


def test_of_stages_behind_one_another_the_later_takes_both() -> None:
    def build(p: Any) -> None:
        first = p | "numbers" >> beam.Create([1]) | "first" >> obs.Stage(beam.Map(abs))
        _ = (
            first
            | "between" >> beam.Map(abs)
            | "second" >> obs.Stage(beam.Map(abs))
            | "last" >> beam.Map(abs)
        )

    cut = cut_at(("first", "second"), build)
    assert users_labels(cut) == {"first", "between", "second", "last"}
    names = {node.unique_name for node in cut.proto.components.transforms.values()}
    assert "letters of second/and others" in names
    assert "letters of first/and others" not in names


@pytest.mark.parametrize(
    "write", [beam.io.WriteToText("out"), obs.WriteToText("out"), fileio.WriteToFiles("out")]
)
def test_a_write_stays_with_all_that_it_needs(write: beam.PTransform) -> None:
    def build(p: Any) -> None:
        _ = p | "numbers" >> beam.Create(["1"]) | "parse" >> obs.Stage(beam.Map(str)) | "write" >> write

    cut = cut_at(("parse",), build)
    assert users_labels(cut) == {"parse", "write"}
    whole = obs.Pipeline("FnApiRunner", argv=[], name="whole")
    build(whole)
    assert {label for label in leaves_of(whole) if label.startswith("write/")} <= cut.labels


def test_windows_are_had_back_from_their_texts() -> None:
    hour = "[2013-01-01T10:00:00Z, 2013-01-01T11:00:00Z)"
    assert is_window_of(hour, FixedWindows(3600))
    assert is_window_of("global", GlobalWindows())
    assert not is_window_of("global", FixedWindows(3600))
    assert not is_window_of(hour, GlobalWindows())
    assert not is_window_of("a window of one's own", FixedWindows(3600))
    with pytest.raises(ValueError, match="cannot be had back"):
        parse_window("[1, 2")


def row_coder(**fields: type) -> RowCoder:
    return RowCoder(named_fields_to_schema(list(fields.items())))


def test_coders_are_told_apart_by_names_and_rows_by_their_fields() -> None:
    def noted(coder: Any) -> dict[str, Any]:
        return {"coder": coder_name(coder), "portable": base64.b64encode(portable_coder(coder)).decode()}

    texts = MapCoder(StrUtf8Coder(), StrUtf8Coder())
    assert coder_difference(texts, noted(texts)) == ""
    assert "the program has beam:coder:varint:v1" in coder_difference(VarIntCoder(), noted(texts))
    assert coder_difference(row_coder(city=str), noted(row_coder(city=str))) == ""
    difference = coder_difference(row_coder(city=str, fare=float), noted(row_coder(city=str)))
    assert difference == "its rows had city (string), and have city (string), fare (double) in the program"
