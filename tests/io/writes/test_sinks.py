"""What is written is what Beam's sinks write; what cannot be is a dead letter; files have accounts."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import io
import json
import math
import pathlib
from typing import Any, NamedTuple, Optional

import apache_beam as beam
import fastavro
import pytest
from apache_beam import coders
from apache_beam.testing import test_stream
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.typehints import row_type

import beam_obs as obs
from beam_obs.io.writes.counted_files import WrittenFile, record_digest
from beam_obs.io.writes.json_sink import without_stamp
from tests.io.pipelines import RUNNER, Keeper, counters, run_write

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Day",
    "fields": [
        {"name": "carrier", "type": "string"},
        {"name": "flights", "type": ["null", "int"], "default": None},
    ],
}
DAYS = [{"carrier": f"C{number}", "flights": number} for number in range(100)]


class Day(NamedTuple):
    carrier: str
    flights: int | None


# Beam looks at annotations as they stand, which in this file are texts.
ROW_TYPE = row_type.RowTypeConstraint.from_fields([("carrier", str), ("flights", Optional[int])])  # noqa: UP045 - Beam knows no other


@dataclasses.dataclass
class DayClass:
    carrier: str
    flights: int | None


class Unprintable:
    """Has no text."""

    def __str__(self) -> str:
        return str(1 / 0)


def _avro(names: list[str]) -> list[dict[str, Any]]:
    rows: list[Any] = []
    for name in names:
        with open(name, "rb") as file:
            rows += fastavro.reader(file)
    return sorted(rows, key=lambda row: str(row["carrier"]))


def _run_with_letters(write: Any, elements: list[Any]) -> tuple[list[str], list[Any]]:
    names, dead = Keeper(), Keeper()
    with beam.Pipeline(RUNNER) as p:
        # Made in the pipeline, since not all of them can be encoded on the way to it.
        created = p | beam.Create([None]) | beam.FlatMap(lambda _: elements).with_output_types(Any)
        written, letters = created | "write" >> write.with_dead_letters()
        _ = written | "names" >> beam.Map(names)
        _ = letters | "dead" >> beam.Map(dead)
    return names.elements, dead.elements


def _observed(write: Any, elements: list[Any]) -> dict[str, Any]:
    with obs.Pipeline(RUNNER, name="writing", argv=["--obs_store=store"]) as p:
        _ = p | beam.Create(elements) | beam.Reshuffle() | "write" >> write
    ends = sorted(pathlib.Path("store").glob("runs/writing/*/end.json"))
    end: dict[str, Any] = json.loads(ends[-1].read_text())
    return end


def test_text_is_what_beam_writes() -> None:
    arguments: dict[str, Any] = {
        "header": "head",
        "footer": "foot",
        "num_shards": 1,
        "file_name_suffix": ".txt",
    }

    ours = run_write(obs.WriteToText("ours", **arguments), ["a", "b", 3, "é"])
    theirs = run_write(beam.io.WriteToText("theirs", **arguments), ["a", "b", 3, "é"])

    assert ours == ["ours-00000-of-00001.txt"]
    assert pathlib.Path(ours[0]).read_bytes() == pathlib.Path(theirs[0]).read_bytes()


def test_text_takes_a_coder_and_compression() -> None:
    names = run_write(obs.WriteToText("out", ".gz", coder=coders.BytesCoder(), num_shards=1), [b"\xff"])

    assert gzip.decompress(pathlib.Path(names[0]).read_bytes()) == b"\xff\n"


def test_an_element_that_is_no_text_is_a_dead_letter() -> None:
    names, dead = _run_with_letters(obs.WriteToText("out", num_shards=1), ["good", Unprintable()])

    assert pathlib.Path(names[0]).read_text() == "good\n"
    assert [letter.error_type for letter in dead] == ["ZeroDivisionError"]
    assert dead[0].stage == "write"


def test_json_writes_records_of_any_kind_as_objects() -> None:
    elements = [
        {"carrier": "é", "flights": None},
        Day("B", 2),
        DayClass("C", 3),
        beam.Row(carrier="D", flights=4),
        {"days": [Day("E", 5)]},
    ]

    names = run_write(obs.WriteToJson("out", num_shards=1), elements)

    lines = pathlib.Path(names[0]).read_text().splitlines()
    assert sorted(lines) == sorted(
        [
            '{"carrier": "é", "flights": null}',
            '{"carrier": "B", "flights": 2}',
            '{"carrier": "C", "flights": 3}',
            '{"carrier": "D", "flights": 4}',
            '{"days": [{"carrier": "E", "flights": 5}]}',
        ]
    )


@pytest.mark.parametrize(
    "bad",
    [
        {"x": math.nan},
        {"x": {1, 2}},
        {"x": datetime.date(2013, 1, 1)},
        {(1, 2): 3},
        {1: "a", "1": "b"},
        {"x": [{None: 0, "null": 0}]},
    ],
)
def test_what_json_has_no_form_for_is_a_dead_letter(bad: Any) -> None:
    names, dead = _run_with_letters(obs.WriteToJson("out", num_shards=1), [{"x": 1}, bad])

    assert pathlib.Path(names[0]).read_text() == '{"x": 1}\n'
    assert len(dead) == 1


def test_json_can_be_told_how_to_write_other_values() -> None:
    names = run_write(obs.WriteToJson("out", default=str), [{"day": datetime.date(2013, 1, 1)}])

    assert pathlib.Path(names[0]).read_text() == '{"day": "2013-01-01"}\n'


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
@pytest.mark.parametrize("shards", [0, 1, 3])
def test_avro_holds_the_records(codec: str, shards: int) -> None:
    if codec == "snappy":
        pytest.importorskip("cramjam")

    names = run_write(obs.WriteToAvro("out", SCHEMA, codec, ".avro", shards), DAYS)

    assert _avro(names) == sorted(DAYS, key=lambda row: row["carrier"])


def test_avro_of_many_blocks_holds_the_records() -> None:
    rows = [{"carrier": "x" * 50 + str(number), "flights": number} for number in range(5000)]

    names = run_write(obs.WriteToAvro("out", SCHEMA, num_shards=1), rows)

    assert len(_avro(names)) == 5000


@pytest.mark.parametrize(
    "make", [Day, DayClass, lambda carrier, flights: beam.Row(carrier=carrier, flights=flights)]
)
def test_avro_takes_records_of_any_kind(make: Any) -> None:
    names = run_write(obs.WriteToAvro("out", SCHEMA), [make("UA", 3)])

    assert _avro(names) == [{"carrier": "UA", "flights": 3}]


def test_avro_takes_the_schema_of_the_pcollection() -> None:
    names = run_write(obs.WriteToAvro("out"), [Day("UA", 3), Day("AA", None)], ROW_TYPE)

    assert _avro(names) == [{"carrier": "AA", "flights": None}, {"carrier": "UA", "flights": 3}]


def test_avro_without_any_schema_is_refused_when_the_pipeline_is_built() -> None:
    with pytest.raises(obs.UsageError, match="give schema="):
        beam.Pipeline(RUNNER) | beam.Create([{"a": 1}]) | "write" >> obs.WriteToAvro("out")


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(obs.UsageError, match="not an Avro schema"):
        obs.WriteToAvro("out", {"type": "record"})


@pytest.mark.parametrize(
    "bad", [{"carrier": 7, "flights": 1}, {"flights": 1}, {"carrier": "a", "flights": "x"}, "text", None]
)
def test_a_record_that_does_not_fit_the_schema_is_a_dead_letter(bad: Any) -> None:
    names, dead = _run_with_letters(obs.WriteToAvro("out", SCHEMA), [DAYS[1], bad])

    assert _avro(names) == [DAYS[1]]
    assert len(dead) == 1


def test_a_bad_record_without_a_home_fails_the_job() -> None:
    with pytest.raises(Exception, match="carrier"):
        run_write(obs.WriteToAvro("out", SCHEMA), [{"carrier": 7, "flights": 1}])


def test_dead_letters_go_to_the_home_that_is_given() -> None:
    with beam.Pipeline(RUNNER) as p, obs.DeadLetters(obs.JsonLines("dead")) as dead:
        _ = p | beam.Create([{"x": math.inf}]) | "write" >> obs.WriteToJson("out", dead_letters=dead)

    assert len(list(pathlib.Path("dead").glob("*.jsonl"))) == 1


def test_lineage_attributes_are_left_out_unless_the_schema_has_them() -> None:
    from beam_obs.records.lineage_attributes import LINEAGE_AVRO_FIELD

    pathlib.Path("in.csv").write_text("carrier,flights\nUA,\n")
    names = Keeper()
    with beam.Pipeline(RUNNER) as p:
        rows = p | obs.ReadFromCsv("in.csv", stamp=True) | beam.Map(_without_flights)
        _ = rows | "plain" >> obs.WriteToAvro("plain", SCHEMA) | "plain name" >> beam.Map(names)
        with_field = {**SCHEMA, "fields": [*SCHEMA["fields"], LINEAGE_AVRO_FIELD]}
        _ = rows | "stamped" >> obs.WriteToAvro("stamped", with_field) | "stamped name" >> beam.Map(names)

    plain, stamped = sorted(names.elements)
    assert _avro([plain]) == [{"carrier": "UA", "flights": None}]
    assert _avro([stamped])[0]["_lineage"]["position"] == 16


def _without_flights(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "flights": None}


def test_an_observed_run_notes_files_sizes_records_and_digests() -> None:
    end = _observed(obs.WriteToJson("out", num_shards=3), DAYS)

    output = end["outputs"][0]
    assert (output["records"], len(output["files"])) == (100, 3)
    for file in output["files"]:
        content = pathlib.Path(file["uri"]).read_bytes()
        lines = content.splitlines()
        assert (file["records"], file["bytes"]) == (len(lines), len(content))
        assert int(file["digest"], 16) == sum(map(record_digest, map(without_stamp, lines))) % 2**64
    assert end["balance"]["holds"]


@pytest.mark.parametrize(
    "make",
    [
        lambda name, shards: obs.WriteToJson(name, num_shards=shards),
        lambda name, shards: obs.WriteToAvro(name, SCHEMA, num_shards=shards),
    ],
)
@pytest.mark.slow
def test_the_same_records_have_the_same_digest_however_they_are_sharded(make: Any) -> None:
    digests = {
        _observed(make(f"out{shards}", shards), days)["outputs"][0]["digest"]
        for shards, days in [(1, DAYS), (4, DAYS[::-1]), (0, DAYS[50:] + DAYS[:50])]
    }
    other = _observed(make("other", 1), [*DAYS[1:], {"carrier": "C0", "flights": 1}])["outputs"][0]["digest"]

    assert len(digests) == 1
    assert other not in digests


def test_refused_records_are_counted_in_an_observed_run() -> None:
    end = _observed(obs.WriteToAvro("out", SCHEMA), [*DAYS, {"carrier": 1}])

    stage = next(stage for stage in end["stages"] if stage["label"] == "write")
    assert (stage["in"], stage["out"], stage["dead"]) == (101, 100, 1)
    assert end["outputs"][0]["records"] == 100
    assert end["balance"]["holds"]


def test_counters_are_on_the_step_of_the_write() -> None:
    p = beam.Pipeline(RUNNER)
    _ = p | beam.Create(["a", "b"]) | "outer/write" >> obs.WriteToText("out")
    found = counters(p.run(), "outer/write")

    assert (found["in"], found["out"]) == (2, 2)


def test_the_account_of_a_file_survives_its_coder() -> None:
    file = WrittenFile.of("a", 3, "00" * 8)
    coder = coders.registry.get_coder(WrittenFile)

    decoded = coder.decode(coder.encode(file))

    assert (decoded, decoded.records, decoded.digest) == ("a", 3, "00" * 8)


def test_names_of_files_are_plain_texts() -> None:
    assert {type(name) for name in run_write(obs.WriteToText("out"), ["a"])} == {str}


def test_an_empty_collection_writes_what_beam_writes() -> None:
    ours = run_write(obs.WriteToText("ours"), [])
    theirs = run_write(beam.io.WriteToText("theirs"), [])

    assert [name.replace("ours", "theirs") for name in ours] == theirs
    assert run_write(obs.WriteToText("none", skip_if_empty=True), []) == []


def test_shards_can_be_bounded_in_records() -> None:
    names = run_write(
        obs.WriteToText("out", max_records_per_shard=10), [str(number) for number in range(100)]
    )

    assert all(len(pathlib.Path(name).read_text().splitlines()) <= 10 for name in names)
    assert len(names) >= 10


def test_a_stream_is_written_window_by_window() -> None:
    stream = (
        test_stream.TestStream()
        .advance_watermark_to(0)
        .add_elements(["a", "b"])
        .advance_watermark_to_infinity()
    )
    names = Keeper()
    options = beam.options.pipeline_options.PipelineOptions(["--streaming"])
    with beam.Pipeline("DirectRunner", options=options) as p:
        _ = p | stream | "write" >> obs.WriteToText("out", triggering_frequency=60) | beam.Map(names)

    assert sorted("".join(pathlib.Path(name).read_text() for name in names.elements).split()) == ["a", "b"]


def test_files_of_a_stream_are_noted_where_windows_travel_in_their_own_coder() -> None:
    ticks = PeriodicImpulse(start_timestamp=0, stop_timestamp=2, fire_interval=1)
    with obs.Pipeline("FnApiRunner", name="windows") as p:
        texts = p | "ticks" >> ticks | "texts" >> beam.Map(str)
        _ = texts | "write" >> obs.WriteToText("out", triggering_frequency=60)

    (output,) = obs.Store().find("windows@latest").end["outputs"]
    assert output["records"] == 2


@pytest.mark.parametrize("codec", ["snappy", "zstandard", "lz4"])
def test_a_codec_whose_package_is_missing_is_told_when_the_pipeline_is_built(codec: str) -> None:
    try:
        fastavro.writer(io.BytesIO(), "null", [None], codec=codec)
    except ValueError:
        with pytest.raises(obs.MissingExtra, match=rf"codec '{codec}'.*beam_obs\[avro\]"):
            obs.WriteToAvro("out", {"type": "record", "name": "Day", "fields": []}, codec=codec)
    else:
        pytest.skip("its package is installed")
