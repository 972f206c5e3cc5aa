"""Writes stamp lineage attributes on what they write: by themselves where there is room, or as asked."""

from __future__ import annotations

import glob
import io
import json
import pathlib
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.typehints import row_type
from hypothesis import given
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.io.writes.avro_sink import AvroEncoder, StampingAvroEncoder
from beam_obs.io.writes.avro_stamp import WithoutStamp, avro_takes_attributes, encoded_attributes
from beam_obs.io.writes.json_sink import JsonEncoder, StampingJsonEncoder, without_stamp
from beam_obs.records.lineage_attributes import LINEAGE_FIELD, Attributes
from beam_obs.records.origin import Partition
from beam_obs.records.run_context import RunContext

SCHEMA: dict[str, Any] = {"type": "record", "name": "Row", "fields": [{"name": "n", "type": "string"}]}
ROOMY = {**SCHEMA, "fields": [obs.LINEAGE_AVRO_FIELD, *SCHEMA["fields"]]}


def _run(write: Any, make: Any = None, *options: str, **read: Any) -> dict[str, Any]:
    """Writes the two rows of a file in an observed pipeline, and returns the end of its run."""
    pathlib.Path("in.csv").write_text("n\n1\n22\n")
    given_options = PipelineOptions(["--obs_store=store", "--obs_report=off", *options])
    with obs.Pipeline(FnApiRunner(), given_options, name="stamps") as pipeline:
        rows = pipeline | "read" >> obs.ReadFromCsv("in.csv", **read)
        if make is not None:
            rows = rows | "make" >> beam.Map(make)
        _ = rows | "write" >> write
    end = obs.Store("store").find("latest").end
    assert end is not None
    return end


def _lines(prefix: str = "out") -> list[Any]:
    texts = [pathlib.Path(name).read_text() for name in sorted(glob.glob(f"{prefix}*.jsonl"))]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def _avro() -> list[Any]:
    rows: list[Any] = []
    for name in glob.glob("out*.avro"):
        with open(name, "rb") as file:
            rows += fastavro.reader(file)
    return rows


def _places(records: list[Any]) -> list[Any]:
    return sorted(record[LINEAGE_FIELD]["position"] for record in records)


def test_json_of_a_woven_run_is_stamped_with_where_each_record_came_from() -> None:
    _run(obs.WriteToJson("out"))

    run = obs.Store("store").find("latest")
    for record in _lines():
        attributes = record.pop(LINEAGE_FIELD)
        assert list(record) == ["n"]
        assert attributes["position"] == {"1": 2, "22": 4}[record["n"]]
        assert attributes["run"] == run.id
        assert attributes["source_uri"].endswith("in.csv")
        assert attributes["origin"][8:18] == f"{attributes['position']:010x}"


@pytest.mark.parametrize(
    ("stamp", "options"), [(False, ()), (None, ("--obs_lineage=off",))], ids=["asked not to", "not woven"]
)
def test_json_is_not_stamped_where_it_is_not_to_be(stamp: bool | None, options: tuple[str, ...]) -> None:
    _run(obs.WriteToJson("out", stamp=stamp), None, *options)

    assert sorted(record["n"] for record in _lines()) == ["1", "22"]
    assert all(LINEAGE_FIELD not in record for record in _lines())


def test_a_plain_beam_pipeline_stamps_only_if_asked() -> None:
    with beam.Pipeline(FnApiRunner()) as pipeline:
        records = pipeline | beam.Create([{"n": "1"}])
        _ = records | "not" >> obs.WriteToJson("not")
        _ = records | "asked" >> obs.WriteToJson("out", stamp=True)

    assert json.loads(pathlib.Path(glob.glob("not*")[0]).read_text()) == {"n": "1"}
    ((record),) = _lines()
    assert record[LINEAGE_FIELD]["origin"] is None


def test_values_that_are_no_objects_are_written_as_they_are() -> None:
    end = _run(obs.WriteToJson("out"), lambda row: [row["n"]])

    assert sorted(_lines()) == [["1"], ["22"]]
    assert end["dead_letters"]["count"] == 0


def test_values_that_are_no_objects_are_refused_where_a_stamp_is_asked_for() -> None:
    end = _run(obs.WriteToJson("out", stamp=True), lambda row: [row["n"]])

    assert end["dead_letters"]["by_stage"] == {"write": 2}


def test_attributes_that_a_read_of_this_run_stamped_are_kept() -> None:
    _run(obs.WriteToJson("out"), lambda row: {**row, "n": 0}, stamp=True)

    assert _places(_lines()) == [2, 4]


def test_attributes_of_an_earlier_run_are_replaced() -> None:
    _run(obs.WriteToJson("out"))
    pathlib.Path("second").mkdir()
    with obs.Pipeline(FnApiRunner(), PipelineOptions(["--obs_store=store"]), name="second") as pipeline:
        _ = pipeline | obs.ReadFromJson("out*.jsonl") | obs.WriteToJson("second/out")

    found = _lines("second/out")
    assert {record[LINEAGE_FIELD]["pipeline"] for record in found} == {"second"}
    assert all(".jsonl" in record[LINEAGE_FIELD]["source_uri"] for record in found)


@pytest.mark.parametrize(
    ("write", "is_stamped"),
    [
        (obs.WriteToJson("out"), True),
        (obs.WriteToJson("out", stamp=False), False),
        (obs.WriteToText("out", coder=beam.coders.FastPrimitivesCoder()), False),
    ],
)
def test_a_run_tells_which_of_its_sinks_stamp(write: Any, is_stamped: bool) -> None:
    end = _run(write)

    assert [sink["stamped"] for sink in end["lineage"]["sinks"]] == [is_stamped]


class WriteDays(obs.WriteToJson):
    """A user's own, made of one of ours."""


class Archive(obs.WriteToText):
    """A user's own, made of one of ours."""


class Warehouse(obs.Sink):
    """A user's own, made of one of ours."""


@pytest.mark.parametrize(
    ("base", "subclass"),
    [
        (obs.WriteToJson("out"), WriteDays("out")),
        (
            obs.WriteToText("out", coder=beam.coders.FastPrimitivesCoder()),
            Archive("out", coder=beam.coders.FastPrimitivesCoder()),
        ),
        (
            obs.Sink(beam.io.WriteToText("out", coder=beam.coders.FastPrimitivesCoder())),
            Warehouse(beam.io.WriteToText("out", coder=beam.coders.FastPrimitivesCoder())),
        ),
    ],
    ids=["WriteToJson", "WriteToText", "Sink"],
)
@pytest.mark.parametrize("runner", [FnApiRunner, BundleBasedDirectRunner])
@pytest.mark.slow
def test_a_subclass_of_a_write_is_told_of_as_its_base(base: Any, subclass: Any, runner: Any) -> None:
    def told(write: Any) -> Any:
        with obs.Pipeline(runner(), PipelineOptions(["--obs_store=store"]), name="told") as pipeline:
            _ = pipeline | beam.Create([{"n": 1}]) | "write" >> write
        end = obs.Store("store").find("latest").end
        assert end is not None
        outputs = [(output["label"], output["records"]) for output in end["outputs"] if "label" in output]
        return end["lineage"]["sinks"], outputs, end["lineage"]["opaque"]

    assert told(subclass) == told(base)
    assert [sink["label"] for sink in told(subclass)[0]] == ["write"]


def test_avro_is_stamped_where_the_schema_has_room() -> None:
    _run(obs.WriteToAvro("out", ROOMY, file_name_suffix=".avro"))

    assert _places(_avro()) == [2, 4]


def test_avro_without_room_is_written_as_it_is() -> None:
    _run(obs.WriteToAvro("out", SCHEMA, file_name_suffix=".avro"))

    assert sorted(record["n"] for record in _avro()) == ["1", "22"]
    assert obs.Store("store").find("latest").end is not None


def test_avro_of_a_fixed_schema_without_room_cannot_be_stamped() -> None:
    with pytest.raises(obs.UsageError, match=r"add obs\.LINEAGE_AVRO_FIELD to its fields"):
        obs.WriteToAvro("out", SCHEMA, stamp=True)


# Beam looks at annotations as they stand, which in this file would be texts.
ROW_TYPE = row_type.RowTypeConstraint.from_fields([("n", str)])


def test_avro_of_the_records_own_schema_gets_the_field_where_it_is_asked_for() -> None:
    make = beam.typehints.with_output_types(ROW_TYPE)(lambda row: beam.Row(n=row["n"]))
    _run(obs.WriteToAvro("out", file_name_suffix=".avro", stamp=True), make)

    assert _places(_avro()) == [2, 4]
    assert sorted(record["n"] for record in _avro()) == ["1", "22"]


def test_lines_of_text_cannot_be_stamped() -> None:
    with pytest.raises(obs.UsageError, match="a line has no room for lineage attributes"):
        obs.WriteToText("out", stamp=True)


@pytest.mark.parametrize("kind", ["json", "avro"])
@pytest.mark.slow
def test_the_digest_of_an_output_does_not_depend_on_the_stamp(kind: str) -> None:
    def write(stamp: bool) -> Any:
        if kind == "json":
            return obs.WriteToJson("out", stamp=stamp)
        return obs.WriteToAvro("out", ROOMY, stamp=stamp)

    digests = [_run(write(stamp))["outputs"][0]["digest"] for stamp in (True, True, False)]

    assert len(set(digests)) == 1


def test_a_field_of_another_type_is_no_room() -> None:
    field = {"name": LINEAGE_FIELD, "type": "string"}

    assert not avro_takes_attributes({**SCHEMA, "fields": [field]})
    assert not avro_takes_attributes(SCHEMA)
    assert not avro_takes_attributes("string")
    _run(
        obs.WriteToAvro("out", {**SCHEMA, "fields": [{**field, "default": "mine"}]}, file_name_suffix=".avro")
    )
    assert [record[LINEAGE_FIELD] for record in _avro()] == ["mine", "mine"]


CONTEXT = RunContext("p", "0193-the-run", "c" * 70)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
origins = st.none() | st.integers(0, 2**50).map(Partition("a", "1").origin)


@given(st.dictionaries(texts.filter(lambda name: name != LINEAGE_FIELD), values, max_size=4), origins)
def test_without_its_stamp_a_json_record_is_as_it_was(record: dict[str, Any], origin: bytes | None) -> None:
    line = StampingJsonEncoder(None, Attributes(CONTEXT)).with_origin(record, origin or b"")

    attributes = json.loads(line)[LINEAGE_FIELD]
    assert attributes == {**Attributes(CONTEXT).of(origin), "stamped_at": attributes["stamped_at"]}
    assert without_stamp(line) == JsonEncoder()(record)


@given(
    texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | st.integers(-(2**63), 2**63 - 1),
)
def test_attributes_are_encoded_as_avro_has_them(
    text: str, origin: str | None, uri: str | None, version: str | None, position: int | None
) -> None:
    attributes: Any = {"origin": origin, "run": text, "pipeline": text, "code": text, "source_uri": uri}
    attributes |= {"source_version": version, "position": position, "stamped_at": text}
    schema = {**SCHEMA, "fields": [obs.LINEAGE_AVRO_FIELD]}
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, schema, {LINEAGE_FIELD: attributes})

    assert encoded_attributes(attributes) == expected.getvalue()


@pytest.mark.parametrize("is_last", [False, True])
@given(texts, texts, st.none() | texts, st.none() | texts, st.none() | st.integers(-(2**63), 2**63 - 1))
def test_without_its_stamp_an_avro_record_is_as_with_null(
    is_last: bool, before: str, after: str, uri: str | None, version: str | None, position: int | None
) -> None:
    fields = [
        {"name": "before", "type": "string"},
        obs.LINEAGE_AVRO_FIELD,
        {"name": "after", "type": "string"},
    ]
    if is_last:
        fields.append(fields.pop(1))
    schema = {**SCHEMA, "fields": fields}
    carried = {"run": CONTEXT.run, "origin": "ab" * 16, "source_uri": uri, "source_version": version}
    record = {"before": before, "after": after}
    stamped = StampingAvroEncoder(schema, None, Attributes(CONTEXT)).with_origin(
        {**record, LINEAGE_FIELD: {**carried, "position": position}}, b""
    )

    found: Any = fastavro.schemaless_reader(io.BytesIO(stamped), schema, None)
    assert found[LINEAGE_FIELD]["source_uri"] == uri
    assert WithoutStamp.of(schema, CONTEXT)(stamped) == AvroEncoder(schema)({**record, LINEAGE_FIELD: None})
