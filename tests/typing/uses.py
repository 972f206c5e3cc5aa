"""Uses of every public name as users' programs have them; `test_typing.py` has type checkers look at it."""

from __future__ import annotations

import json
import logging
import pathlib

import apache_beam as beam
from apache_beam.io import WriteToText
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import FixedWindows
from typing_extensions import assert_type

import beam_obs as obs
import beam_obs.lineage as lineage
import beam_obs.testing as testing


def build(pipeline: beam.Pipeline, handler: ErrorHandler) -> None:
    retry = obs.Retry(on=(ConnectionError,), attempts=5, backoff=0.5, jitter=0.1, budget=30)
    _ = obs.Stage("ask" >> beam.Map(int), retry=retry), obs.Stage("run" >> beam.Map(int), timeout=5.0)
    stage = obs.Stage("parse" >> beam.Map(int), max_dead_rate=0.1, redact=["name"], partial=True)
    assert_type(stage.with_dead_letters(), obs.Stage)
    check = obs.Check(
        obs.between("age", 0, 150, allow_none=True),
        obs.one_of("kind", ["a", "b"]),
        obs.unique("id"),
        obs.matches(("address", "zip"), r"\d{5}"),
        obs.of_type("age", int, float, name="a number"),
        obs.not_null("id", "kind"),
        obs.holds("adult", lambda age: age >= 18, "age"),
        obs.fits_schema({"type": "record", "name": "Person", "fields": [obs.LINEAGE_AVRO_FIELD]}),
        on_break="count",
        max_dead_minimum=10,
    )
    assert_type(check.with_dead_letters(), obs.Check)
    for sink in (obs.JsonLines("refused"), obs.AvroFiles(pathlib.Path("refused")), "refused"):
        with obs.DeadLetters(sink, label="Refused") as home:
            assert_type(home, obs.DeadLetters)
    obs.DeadLetters(obs.BigQueryRows("project:city.refused", fallback="refused"))
    obs.DeadLetters(obs.PubSubMessages("projects/city-project/topics/refused", fallback=obs.AvroFiles("f")))
    _ = pipeline | obs.ReadFromCsv("flights*.csv", stamp=True) | stage | check | obs.Stamp(redact=len)
    source = obs.Source(beam.Create([1]), dataset="ones", dead_letters=handler)
    sink_ = obs.Sink(WriteToText("ones"), dataset="ones", max_dead_rate=1)
    canary = obs.Canary("ones", make=len, mark_of=str, expect=bool, every="30s")
    windows = obs.WindowInto(FixedWindows(60), late_for=3600, dead_letters=obs.DeadLetters("late"))
    assert_type(windows.with_dead_letters(), obs.WindowInto)
    _ = pipeline | "in" >> canary.enter() | windows | "out" >> canary.leave(redact=["name"])
    _ = pipeline | source.with_dead_letters() | sink_.with_dead_letters()


def reads() -> None:
    read = obs.ReadFromText("*.txt", delimiter=b"\n", dead_letters=obs.DeadLetters("refused"))
    assert_type(read, obs.ReadFromText)
    assert_type(obs.ReadFromJson("*.jsonl", dict).with_dead_letters(), obs.ReadFromJson)
    obs.ReadFromAvro(pathlib.Path("in.avro"), as_rows=True)
    obs.ReadFromParquet("in.parquet", columns=["a"], redact=lambda record: record)
    obs.ReadWholeFiles("*.html", max_bytes=1 << 20, on_bad_file="fail")
    arriving = obs.ReadContinuously(read, interval=30, on_changed="again", settles=False)
    assert_type(arriving.with_dead_letters(), obs.ReadContinuously)
    trips = obs.ReadFromPubSub(subscription="projects/city-project/subscriptions/trips", decode=json.loads)
    assert_type(trips.with_dead_letters(), obs.ReadFromPubSub)
    file = obs.File("page.html", "3-0f", b"abc")
    assert_type(file.content, bytes)
    assert_type(file.uri, str)


def logs() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(obs.JsonLogFormatter(project="city-project"))
    handler.setFormatter(obs.TextLogFormatter(logging.Formatter("%(message)s")))
    assert_type(obs.continue_trace([("traceparent", b"")]), bool)
    obs.trace_headers([("content-type", b"json")])


def writes(handler: ErrorHandler) -> None:
    obs.WriteToText("out", ".txt", dead_letters=handler)
    obs.WriteToJson(pathlib.Path("out"), default=str, stamp=False, redact=["name"])
    assert_type(obs.WriteToAvro("out", {}, codec="null").with_dead_letters(), obs.WriteToAvro)
    fields = [*obs.DEAD_LETTER_BIGQUERY_SCHEMA["fields"], obs.LINEAGE_BIGQUERY_FIELD]
    obs.WriteToBigQuery("project:city.trips", schema={"fields": fields}, method="STREAMING_INSERTS")
    obs.WriteToPubSub("projects/city-project/topics/trips", with_attributes=True, stamp=True)


def read(store: obs.Store) -> None:
    for letter in obs.read_dead_letters("refused", store=store):
        assert_type(letter, obs.DeadLetter)
        assert_type(letter.payload, bytes)
        assert_type(letter.origin, "str | None")
        assert_type(obs.DeadLetter.from_json(letter.to_json()), obs.DeadLetter)
    assert_type(obs.current_origin(), "bytes | None")
    assert_type(obs.__version__, str)
    assert_type(store.find("latest").status, str)


def ask(store: obs.Store) -> None:
    answer = lineage.why("out:1", {"city": "rome"}, run="latest", store=store)
    assert_type(answer, lineage.Why)
    assert_type(answer.run, "lineage.RunOf | None")
    assert_type(answer.record, "lineage.OutputRecord | None")
    assert_type(answer.certainty, lineage.Certainty)
    assert_type(answer.certainty.kind, str)
    assert answer.certainty.kind in (lineage.COMPLETE, lineage.SAMPLED, lineage.NOT_RECORDED)
    for one in answer.made_of:
        if isinstance(one, lineage.FromSource):
            assert_type(one.partition, "lineage.SourcePartition | None")
            assert_type(one.record, lineage.SourceRecord)
            assert_type(one.path, "tuple[lineage.PathPart, ...]")
            states = (lineage.VERIFIED, lineage.UNVERIFIED, lineage.CHANGED, lineage.GONE)
            assert one.record.state in states
        else:
            assert_type(one, lineage.FromAggregate)
            assert_type(one.sources, "tuple[lineage.SourceShare, ...]")
    way = lineage.record_trace("flights.csv:2", run="latest", store=store)
    assert_type(way, lineage.RecordTrace)
    assert_type(way.roots, "tuple[lineage.SpanNode, ...]")
    became = lineage.fate("flights.csv:2", everything=True)
    assert_type(became, lineage.Fate)
    if became.into is not None:
        assert_type(became.into, lineage.Into)
        assert_type(became.into.written, "tuple[lineage.Written, ...]")
        assert_type(became.into.may_be_in, "tuple[lineage.MayBeIn, ...]")
        assert_type(became.into.dead_letters, "tuple[lineage.Refused, ...]")
    assert_type(lineage.sources("latest", store="store"), lineage.Sources)
    touched = lineage.affected(source="flights.csv", limit=3)
    assert_type(touched, lineage.Affected)
    assert_type(touched.runs, "tuple[lineage.TouchedRun, ...]")
    assert_type(touched.runs[0].sinks, "tuple[lineage.TouchedSink, ...]")


def ask_of_nothing() -> None:
    try:
        lineage.why("nothing:1")
    except (lineage.FileGone, lineage.NoSuchRecord, lineage.NoSuchPlace, lineage.NotRead) as error:
        said: obs.BeamObsError = error
        print(said)


def errors() -> None:
    for kind in (
        obs.AssumptionBroken,
        obs.BadFile,
        obs.BadInput,
        obs.ConversionError,
        obs.CorruptBlock,
        obs.DamagedCompression,
        obs.EmptyFile,
        obs.EvidenceNotKept,
        obs.FileChanged,
        obs.FileTooLarge,
        obs.MissingExtra,
        obs.NoFilesFound,
        obs.NotAContainer,
        obs.NotJson,
        obs.BadMessage,
        obs.CanaryFailed,
        obs.LateRecord,
        obs.UnreadFile,
        obs.ElementFailed,
        obs.ElementKilledProcess,
        obs.ElementOutOfMemory,
        obs.ElementTimeout,
        obs.IsolationFailed,
        obs.ServiceDown,
        obs.NotReadBack,
        obs.NotWoven,
        obs.RefusedByService,
        obs.RefusedRecord,
        obs.StoreNotFound,
        obs.StoreNotWritable,
        obs.StoreOutOfReach,
        obs.TornRow,
        obs.UndecodableBytes,
        obs.UsageError,
    ):
        ours: type[obs.BeamObsError] = kind
        print(ours)
    try:
        obs.Store("store").find("latest")
    except obs.DeadRateExceeded as error:
        assert_type(error.rate, float)
    except obs.RunNotFound as error:
        assert_type(error.candidates, list[str])
    except obs.WrongHeader as error:
        assert_type(error.missing, "tuple[str, ...]")


def observe(handler: ErrorHandler) -> None:
    with obs.instrument(name="typed", store="store", redact=["name"]):
        pass
    obs.instrument(store=obs.Store("store")).uninstall()
    options = obs.ObservabilityOptions(["--obs_sample_rate=10"])
    with obs.Pipeline("DirectRunner", options=options, name="typed", store=pathlib.Path("store")) as pipeline:
        build(pipeline, handler)
    obs.ReadAllFiles("*.html")  # until the release that takes it away


def measure() -> None:
    obs.counter("parsed", "kind").labels(kind="csv").inc()
    obs.counter("parsed_bytes", series=10).add(3)
    obs.histogram("parse_seconds", buckets=[0.1, 1.0]).observe(0.5)
    obs.gauge("newest_seconds").set(1.5)
    obs.summary("row_bytes").observe(12.0)


def assert_all() -> None:
    late = testing.meets("late", lambda element: element["dep_time"] > 2200)
    assert_type(late, testing.Matcher)
    expected = testing.dead_letter(
        stage="parse", error_type=ValueError, message=testing.contains("x"), payload=late, times=2
    )
    testing.assert_dead_letters(obs.Store(), expected, others=True)
    testing.assert_dead_letters("refused", testing.dead_letter(stage=testing.like("^parse")))
    testing.assert_metrics(obs.Store(), stage="parse", in_=3, out=2, dead=1)
    testing.assert_balanced("store", everywhere=True)
    with beam.Pipeline(testing.RetryingRunner(times=3)) as p:
        print(p)
