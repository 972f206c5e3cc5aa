"""Stamp: lineage attributes in the records themselves."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.typehints import row_type

import beam_obs as obs
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, Attributes
from beam_obs.records.run_context import RunContext
from beam_obs.stages.pubsub_messages import stamped_message
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings

_SEEN: list[Any] = []


def _see(element: Any) -> None:
    _SEEN.append(element)


@dataclasses.dataclass
class Roomy:
    n: int
    _lineage: dict[str, Any] | None = None


@dataclasses.dataclass
class Full:
    n: int


ROW_TYPE = row_type.RowTypeConstraint.from_fields([("n", int)])


class Pair(NamedTuple):
    n: int


def _stamped(make: Any, hint: Any = None) -> list[Any]:
    """Returns the two records of a file as `make` makes them, stamped in a woven pipeline."""
    pathlib.Path("in.csv").write_text("n\n1\n22\n")
    _SEEN.clear()
    step = beam.Map(make) if hint is None else beam.Map(make).with_output_types(hint)
    with weaving(WeaveSettings(strict=True)), beam.Pipeline(FnApiRunner()) as pipeline:
        records = pipeline | obs.ReadFromCsv("in.csv") | "make" >> step
        if hint is ROW_TYPE:
            records = records | beam.Reshuffle()
        _ = records | obs.Stamp() | "see" >> beam.Map(_see)
    return list(_SEEN)


def _attributes(record: Any) -> Any:
    return record[LINEAGE_FIELD] if isinstance(record, dict) else getattr(record, LINEAGE_FIELD)


KINDS: dict[str, Any] = {
    "dict": (lambda row: {"n": int(row["n"])}, None),
    "typed dict": (lambda row: {"n": int(row["n"])}, dict[str, int]),
    "row": (lambda row: beam.Row(n=int(row["n"])), None),
    "row from elsewhere": (lambda row: beam.Row(n=int(row["n"])), ROW_TYPE),
    "dataclass": (lambda row: Roomy(int(row["n"])), None),
    "typed dataclass": (lambda row: Roomy(int(row["n"])), Roomy),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_any_kind_gets_the_attributes_of_its_source_record(kind: str) -> None:
    found = _stamped(*KINDS[kind])

    assert sorted(_attributes(record)["position"] for record in found) == [2, 4]
    for record in found:
        attributes = _attributes(record)
        assert attributes["source_uri"].endswith("in.csv")
        assert attributes["source_version"].startswith("7-")
        assert attributes["run"]
        assert attributes["origin"][8:18] == f"{attributes['position']:010x}"


def test_the_record_that_was_stamped_is_not_changed() -> None:
    record = {"n": 1}
    with beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create([record]) | obs.Stamp()

    assert record == {"n": 1}


@pytest.mark.parametrize("kind", [Pair, Full, str])
def test_a_type_without_room_is_refused_when_the_pipeline_is_built(kind: Any) -> None:
    pipeline = beam.Pipeline(FnApiRunner())
    records = pipeline | beam.Create([1]) | beam.Map(lambda n: n).with_output_types(kind)

    with pytest.raises(obs.UsageError, match=r"'Stamp' \(made at .*test_stamp.py:\d+\): .*no room"):
        _ = records | obs.Stamp()


@pytest.mark.parametrize("record", [Pair(1), Full(1), 7, ("k", {"n": 1})])
def test_a_record_without_room_is_a_dead_letter(record: Any) -> None:
    options = PipelineOptions(["--obs_store=store", "--obs_report=off"])
    with obs.Pipeline(FnApiRunner(), options, name="stamps") as pipeline:
        records = pipeline | beam.Create([record]) | beam.Map(lambda one: one).with_output_types(Any)
        _ = records | obs.Stamp()

    end = obs.Store("store").find("latest").end
    assert end is not None
    assert end["dead_letters"]["by_stage"] == {"Stamp": 1}


def test_without_a_weave_run_and_code_are_stamped_and_no_origin() -> None:
    _SEEN.clear()
    with beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create([{"n": 1}]) | obs.Stamp() | "see" >> beam.Map(_see)

    ((attributes,),) = [[record[LINEAGE_FIELD]] for record in _SEEN]
    assert attributes["origin"] is None
    assert attributes["position"] is None
    assert attributes["run"]


def test_an_observed_pipeline_that_is_not_woven_says_so(caplog: pytest.LogCaptureFixture) -> None:
    options = PipelineOptions(["--obs_store=store", "--obs_lineage=off"])
    with obs.Pipeline(FnApiRunner(), options, name="stamps") as pipeline:
        _ = pipeline | beam.Create([{"n": 1}]) | obs.Stamp()

    assert "Stamp: the pipeline is not woven, so records get no origins" in caplog.text


def test_attributes_of_the_same_run_are_kept_and_those_of_an_earlier_one_are_not() -> None:
    context = RunContext("p", "this run", "2")
    old = {"origin": "ab" * 16, "run": "this run", "code": "1", "source_uri": "a", "position": 7}

    kept = Attributes(context).of(b"\1" * 16, old)
    replaced = Attributes(context).of(b"\1" * 16, {**old, "run": "earlier"})

    assert (kept["origin"], kept["source_uri"], kept["position"], kept["code"]) == ("ab" * 16, "a", 7, "2")
    assert (replaced["origin"], replaced["source_uri"]) == ("01" * 16, None)


class PubsubMessage:
    """As Beam's, whose module needs Google's libraries."""

    def __init__(
        self, data: Any, attributes: Any, message_id: Any, publish_time: Any, ordering_key: Any
    ) -> None:
        self.data, self.attributes, self.message_id = data, attributes, message_id
        self.publish_time, self.ordering_key = publish_time, ordering_key


def test_a_message_carries_its_attributes_and_the_trace_of_its_origin() -> None:
    attributes = Attributes(RunContext("p", "r", "c")).of(b"\1" * 16)
    message = stamped_message(PubsubMessage(b"x", {"mine": "1"}, None, None, "key"), attributes)

    assert message.attributes["beam_obs-origin"] == "01" * 16
    assert message.attributes["beam_obs-run"] == "r"
    assert "beam_obs-source_uri" not in message.attributes
    assert message.attributes["mine"] == "1"
    version, trace, span, flags = message.attributes["traceparent"].split("-")
    assert (version, trace, len(span), flags) == ("00", "01" * 16, 16, "02")
    assert message.ordering_key == "key"


OTHER_TRACE = "00-000102030405060708090a0b0c0d0e0f-0001020304050607-01"


def test_a_message_that_is_part_of_a_trace_stays_in_it() -> None:
    attributes = Attributes(RunContext("p", "r", "c")).of(b"\1" * 16)
    message = PubsubMessage(b"x", {"traceparent": OTHER_TRACE}, None, None, "")

    assert stamped_message(message, attributes).attributes["traceparent"] == OTHER_TRACE
