"""Two pipelines with the mistakes that their writers make: each is told when the pipeline is built, with what
was wrong, the line of the program, and what to write instead."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import pytest

import beam_obs as obs

HERE = rf"{__file__}:\d+"
SCHEMA = {
    "type": "record",
    "name": "Trip",
    "fields": [{"name": "city", "type": "string"}, {"name": "fare", "type": "double"}],
}


class Trip(NamedTuple):
    city: str
    fare: float


class Parse(beam.DoFn):  # type: ignore[misc]
    def process(self, line: str) -> Iterator[Trip]:
        city, fare = line.split(",")
        yield Trip(city, float(fare))


@pytest.fixture(autouse=True)
def _data(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("trips.csv").write_text("city,fare\nrome,12.5\n")
    pathlib.Path("folder").mkdir()


Mistake = Callable[[Any, Any], Any]

# A batch job: reads trips, parses and checks them, and writes what is good.
TRIPS: list[tuple[str, Mistake, str]] = [
    ("a read of nothing", lambda p, trips: obs.ReadFromCsv(""), r"file_pattern=''.*e\.g\. 'gs://"),
    ("a read of blanks", lambda p, trips: obs.ReadFromText("  "), r"file_pattern='  '.*e\.g\. 'gs://"),
    ("a read of None", lambda p, trips: obs.ReadFromJson(None), r"file_pattern=None: give a path"),
    ("a read of a list", lambda p, trips: obs.ReadFromCsv(["a", "b"]), r"a read of each and a beam\.Flatten"),
    ("a read of records", lambda p, trips: obs.ReadFromText(trips), r"beam\.io\.ReadAllFromText"),
    ("a read of a folder", lambda p, trips: obs.ReadFromCsv("folder"), r"is a folder.*'folder/\*'"),
    ("a read of no file", lambda p, trips: p | "r" >> obs.ReadFromCsv("trip.csv"), r"there is no file '"),
    ("a read of no match", lambda p, trips: p | "r" >> obs.ReadFromCsv("x*"), r"no file matches '"),
    ("a read behind a step", lambda p, trips: trips | "r" >> obs.ReadFromCsv("trips.csv"), "to a pipeline"),
    ("a delimiter of two", lambda p, trips: obs.ReadFromCsv("trips.csv", delimiter=";;"), "1-character"),
    ("columns as a text", lambda p, trips: obs.ReadFromCsv("trips.csv", columns="city"), "a list of names"),
    ("columns by number", lambda p, trips: obs.ReadFromCsv("trips.csv", columns=[1]), "a list of names"),
    ("a record that is none", lambda p, trips: obs.ReadFromCsv("t", record=str), "a NamedTuple class"),
    ("null values as text", lambda p, trips: obs.ReadFromCsv("t", null_values="NA"), r"\['', 'NA'\]"),
    (
        "an encoding that is none",
        lambda p, trips: obs.ReadFromText("t", encoding="utf88"),
        "give one as 'utf-8'",
    ),
    ("no encoding", lambda p, trips: obs.ReadFromText("t", encoding=None), "give one as 'utf-8'"),  # type: ignore[arg-type]
    ("lines to skip, negative", lambda p, trips: obs.ReadFromText("t", skip_header_lines=-1), "0 or more"),
    ("lines to skip, a text", lambda p, trips: obs.ReadFromText("t", skip_header_lines="1"), "0 or more"),  # type: ignore[arg-type]
    ("a size that is negative", lambda p, trips: obs.ReadWholeFiles("t", max_bytes=-1), "1 or more"),
    ("a bundle that is negative", lambda p, trips: obs.ReadFromAvro("t", min_bundle_size=-1), "0 or more"),
    ("a compression by extension", lambda p, trips: obs.ReadFromText("t", compression_type="gz"), r"\.GZIP"),
    (
        "a bad file to be skipped",
        lambda p, trips: obs.ReadFromText("t", on_bad_file="skip"),
        "'dead_letter', ",
    ),
    (
        "letters of a read in a path",
        lambda p, trips: obs.ReadFromText("t", dead_letters="d"),
        r"DeadLetters\(f",
    ),  # type: ignore[arg-type]
    (
        "redaction as a text",
        lambda p, trips: obs.Stage(beam.Map(str), redact="fare"),
        r"give a list of field",
    ),
    ("no label", lambda p, trips: trips | obs.Stage(beam.Map(str)), r'write "parse" >> obs\.Stage'),
    (
        "an empty label",
        lambda p, trips: trips | "" >> obs.Stage(beam.Map(str)),
        r'write "parse" >> obs\.Stage',
    ),
    ("a function", lambda p, trips: obs.Stage(str), r"obs\.Stage\(beam\.Map\(parse\)\)"),  # type: ignore[arg-type]
    ("a DoFn", lambda p, trips: obs.Stage(Parse()), r"obs\.Stage\(beam\.ParDo\(Parse\(\)\)\)"),
    ("a class of DoFns", lambda p, trips: obs.Stage(Parse), r"obs\.Stage\(beam\.ParDo\(Parse\(\)\)\)"),  # type: ignore[arg-type]
    ("a class of transforms", lambda p, trips: obs.Stage(beam.GroupByKey), r"obs\.Stage\(GroupByKey\("),  # type: ignore[arg-type]
    (
        "a Stage in a Stage",
        lambda p, trips: obs.Stage(obs.Stage(beam.Map(str))),
        "got an obs.Stage; one of them",
    ),
    ("a Stage on a pipeline", lambda p, trips: p | "s" >> obs.Stage(beam.Map(str)), r"by an obs\.Source"),
    (
        "too few parameters",
        lambda p, trips: trips | "s" >> obs.Stage(beam.Map(lambda: 1)),
        "too many positional",
    ),
    (
        "too many parameters",
        lambda p, trips: trips | "s" >> obs.Stage(beam.Map(lambda trip, rate: trip)),
        r"<lambda>\(trip, rate\) cannot be called with an element alone: missing .* 'rate'",
    ),
    (
        "a filter with too many",
        lambda p, trips: trips | "s" >> obs.Stage(beam.Filter(lambda trip, least: True)),
        r"missing .* 'least'",
    ),
    (
        "too many parameters within a composite",
        lambda p, trips: trips | "s" >> obs.Stage(beam.Map(str) | beam.FlatMap(lambda trip, rate: [trip])),
        r"missing .* 'rate'",
    ),
    ("a share in percent", lambda p, trips: obs.Stage(beam.Map(str), max_dead_rate=10), "0.1 for a tenth"),
    ("a share as text", lambda p, trips: obs.Stage(beam.Map(str), max_dead_rate="10%"), "0.1 for a tenth"),  # type: ignore[arg-type]
    ("a minimum below 0", lambda p, trips: obs.Stage(beam.Map(str), max_dead_minimum=-1), "0 or more"),
    (
        "letters of a Stage in a path",
        lambda p, trips: obs.Stage(beam.Map(str), dead_letters="d"),
        "obs.DeadLetters",
    ),  # type: ignore[arg-type]
    ("letters nowhere", lambda p, trips: obs.DeadLetters(""), r"folder=''.*gs://bucket/dead"),
    (
        "letters in a number",
        lambda p, trips: obs.DeadLetters(obs.AvroFiles(3)),
        r"folder=3.*gs://bucket/dead",
    ),  # type: ignore[arg-type]
    (
        "letters in a class",
        lambda p, trips: obs.DeadLetters(obs.WriteToJson),
        r"give a folder, obs\.AvroFiles",
    ),  # type: ignore[arg-type]
    (
        "two results as one",
        lambda p, trips: trips | "s" >> obs.Stage(beam.Map(str)).with_dead_letters() | beam.Map(print),
        r"write good, dead = ",
    ),
    ("a Sink of a path", lambda p, trips: obs.Sink("out"), r"obs\.Sink\(beam\.io\.WriteToText\(prefix\)\)"),  # type: ignore[arg-type]
    ("a Source of a function", lambda p, trips: obs.Source(print), r"obs\.Source\(beam\.io\."),  # type: ignore[arg-type]
    ("a Source of a step", lambda p, trips: obs.Source(beam.ParDo(Parse())), r"put an obs\.Stage around it"),
    ("a dataset by number", lambda p, trips: obs.Source(beam.Create([1]), dataset=3), "give a name or URI"),  # type: ignore[arg-type]
    ("a pipeline with a slash", lambda p, trips: obs.Pipeline(name="a/b"), r"use letters, digits"),
    ("a pipeline by number", lambda p, trips: obs.Pipeline(name=3), r"cannot be named 3"),  # type: ignore[arg-type]
    ("a store by number", lambda p, trips: obs.Store(3), r"store=3: give a path, e\.g\. 'gs://"),  # type: ignore[arg-type]
    (
        "a pipeline with a number as its store",
        lambda p, trips: obs.Pipeline(store=3),
        r"store=3: give a path",
    ),  # type: ignore[arg-type]
    ("instrument with a number", lambda p, trips: obs.instrument(store=3), r"store=3: give a path"),  # type: ignore[arg-type]
    ("instrument by number", lambda p, trips: obs.instrument(name=3), r"cannot be named 3"),  # type: ignore[arg-type]
]

# A job that checks and writes: its assumptions, and its sinks.
CHECKS: list[tuple[str, Mistake, str]] = [
    ("no assumption", lambda p, trips: obs.Check(), r"give some, e\.g\. obs\.between"),
    (
        "a list",
        lambda p, trips: obs.Check([obs.not_null("fare")]),
        r"one by one, obs\.Check\(\*assumptions\)",
    ),  # type: ignore[arg-type]
    ("a function", lambda p, trips: obs.Check(lambda trip: True), r'write obs\.holds\("what is'),  # type: ignore[arg-type]
    ("a field", lambda p, trips: obs.Check("fare"), r"obs\.not_null\('fare'\)"),  # type: ignore[arg-type]
    ("not called", lambda p, trips: obs.Check(obs.between), r"call it, e\.g\. obs\.between\("),  # type: ignore[arg-type]
    ("a transform", lambda p, trips: obs.Check(beam.Map(str)), r"put an obs\.Stage around"),
    (
        "on_break",
        lambda p, trips: obs.Check(obs.not_null("a"), on_break="drop"),
        r'give "dead_letter" or "count"',
    ),  # type: ignore[arg-type]
    (
        "twice",
        lambda p, trips: obs.Check(obs.not_null("a"), obs.not_null("a")),
        r"give one of them a name= of",
    ),
    ("no label", lambda p, trips: trips | obs.Check(obs.not_null("fare")), r'write "parse" >> obs\.Check'),
    (
        "misspelt",
        lambda p, trips: trips | "c" >> obs.Check(obs.between("fair", 0)),
        r"Trip has no field 'fair' \(did you mean 'fare'\?\): it has city, fare",
    ),
    ("no limits", lambda p, trips: obs.between("fare"), "give low, high or both"),
    ("limits in no order", lambda p, trips: obs.between("fare", 5, 1), "give the lower one first"),
    ("limits of two types", lambda p, trips: obs.between("fare", "1", 5), "limits of the field's own type"),
    ("field last", lambda p, trips: obs.between(0, 5, "fare"), r"its name comes first, e\.g\. obs\.between"),  # type: ignore[arg-type]
    ("fields in a list", lambda p, trips: obs.not_null(["a", "b"]), r"write obs\.not_null\('a', 'b'\)"),  # type: ignore[arg-type]
    ("one_of a text", lambda p, trips: obs.one_of("city", "rome"), "give a set, list or dict"),
    ("one_of nothing", lambda p, trips: obs.one_of("city", []), "every record would break it"),
    ("a pattern that is none", lambda p, trips: obs.matches("city", "("), "is no regular expression"),
    ("a type by name", lambda p, trips: obs.of_type("fare", "float"), "give one class or several"),  # type: ignore[arg-type]
    ("types in a tuple", lambda p, trips: obs.of_type("fare", (int, float)), "several, one by one"),  # type: ignore[arg-type]
    ("holds without words", lambda p, trips: obs.holds(bool, "x"), "say in words what is assumed"),  # type: ignore[arg-type]
    ("holds without test", lambda p, trips: obs.holds("x", True), "give a function"),  # type: ignore[arg-type]
    (
        "holds with a field too many",
        lambda p, trips: obs.holds("cheap", lambda fare: fare < 9, "fare", "city"),
        r"cannot be called with the values of fare, city: too many positional",
    ),
    ("unique of nothing", lambda p, trips: obs.unique(), "give the name of one"),
    ("a schema that is none", lambda p, trips: obs.fits_schema(Trip), r"give a dict, as \{\"type\""),  # type: ignore[arg-type]
    ("a name by number", lambda p, trips: obs.not_null("a", name=3), "say in words what is assumed"),  # type: ignore[arg-type]
    ("a write to nothing", lambda p, trips: obs.WriteToJson(""), r"the beginning of a path, e\.g\. 'gs:"),
    ("a write to None", lambda p, trips: obs.WriteToText(None), r"the beginning of a path, e\.g\. 'gs:"),  # type: ignore[arg-type]
    ("a write to records", lambda p, trips: obs.WriteToText(trips), r"the beginning of a path"),  # type: ignore[arg-type]
    ("shards below 0", lambda p, trips: obs.WriteToJson("out", num_shards=-1), "0 or more"),
    ("shards as text", lambda p, trips: obs.WriteToText("out", num_shards="1"), "0 or more"),  # type: ignore[arg-type]
    ("no records a shard", lambda p, trips: obs.WriteToText("out", max_records_per_shard=0), "1 or more"),
    (
        "a write of a pipeline",
        lambda p, trips: p | "w" >> obs.WriteToJson("out"),
        "needs a PCollection of records",
    ),
    (
        "Avro without a schema",
        lambda p, trips: trips | beam.Map(dict) | "w" >> obs.WriteToAvro("out"),
        "give schema=",
    ),
    (
        "Avro with a path",
        lambda p, trips: obs.WriteToAvro("out", "trip.avsc"),
        r"as json\.load makes of a file",
    ),
    ("Avro with gzip", lambda p, trips: obs.WriteToAvro("out", SCHEMA, codec="gzip"), "give 'deflate', "),
    ("a stamp on lines", lambda p, trips: obs.WriteToText("out", stamp=True), r"obs\.WriteToJson"),
    ("no table", lambda p, trips: obs.WriteToBigQuery("trips"), r"PROJECT:DATASET\.TABLE"),
    ("no topic", lambda p, trips: obs.WriteToPubSub("trips"), r"give 'projects/<project>/topics/<topic>'"),
    ("no subscription", lambda p, trips: p | obs.ReadFromPubSub(), r"'projects/<project>/subscriptions/"),
    ("topic None", lambda p, trips: obs.WriteToPubSub(None), r"give 'projects/<project>/topics/<topic>'"),  # type: ignore[arg-type]
    ("letters to no table", lambda p, trips: obs.BigQueryRows("dead"), r"PROJECT:DATASET\.TABLE"),
    ("letters to no topic", lambda p, trips: obs.PubSubMessages("dead"), r"give 'projects/<project>/topics/"),
]


@pytest.mark.parametrize(
    ("mistake", "said"),
    [pytest.param(*rest, id=name) for name, *rest in (*TRIPS, *CHECKS)],
)
def test_a_mistake_is_told_with_its_line_and_what_to_write(mistake: Mistake, said: str) -> None:
    p = beam.Pipeline()
    trips = p | beam.Create([Trip("rome", 12.5)]).with_output_types(Trip)
    with pytest.raises((obs.UsageError, obs.BeamObsError), match=f"(?s){said}") as raised:
        mistake(p, trips)
    assert __file__ in str(raised.value)


def test_what_is_a_path_may_be_path_like(tmp_path: pathlib.Path) -> None:
    store = tmp_path / "dead"
    with beam.Pipeline("FnApiRunner") as p, obs.DeadLetters(store) as home:
        rows = p | "read" >> obs.ReadFromCsv(tmp_path / "trips.csv", record=Trip)
        _ = rows | "fare" >> obs.Stage(beam.Map(lambda trip: trip.fare / 0), dead_letters=home)
        _ = rows | "json" >> obs.WriteToJson(tmp_path / "json")
        _ = rows | "text" >> obs.WriteToText(tmp_path / "text")
        _ = rows | "avro" >> obs.WriteToAvro(tmp_path / "avro", SCHEMA)
    written = {path.name.split("-")[0] for path in tmp_path.iterdir() if path.is_file()}
    assert {"json", "text", "avro"} <= written
    assert [letter.stage for letter in obs.read_dead_letters(store)] == ["fare"]


def test_a_store_may_be_path_like(tmp_path: pathlib.Path) -> None:
    observed = obs.instrument(name="trips", store=tmp_path / "store")
    with observed, beam.Pipeline("FnApiRunner", argv=["--obs_report=off"]) as p:
        _ = p | beam.Create([1])
    assert obs.Store(tmp_path / "store").find("trips@latest").status == "done"


def test_a_record_that_lacks_fields_of_the_schema_is_a_dead_letter_that_names_them() -> None:
    with beam.Pipeline("FnApiRunner") as p:
        rows = p | beam.Create([{"city": "rome"}, {"city": "oslo", "fare": 3.5}])
        _, dead = rows | "write" >> obs.WriteToAvro("out", SCHEMA).with_dead_letters()
        _ = dead | beam.Map(lambda letter: letter.error_message) | beam.io.WriteToText("why")
    (file,) = pathlib.Path().glob("why*")
    assert "fare" in file.read_text()
