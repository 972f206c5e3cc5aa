"""A program logs the same observed as not: Beam has nothing to say about the types of our steps."""

from __future__ import annotations

import importlib
import logging
import pathlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.io.gcp.bigquery_tools import RetryStrategy
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.wrapper.untyped import Untyped

SCHEMA = {"type": "record", "name": "Row", "fields": [{"name": "n", "type": "string"}]}
OFF = "--obs_report=off"
MESSAGE = "Converting string literal type hint"
"""How Beam begins a line about an annotation that is text."""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("in.csv").write_text("n\n1\n1\nx\n", encoding="utf-8")
    pathlib.Path("in.txt").write_text("1\n1\nx\n", encoding="utf-8")
    pathlib.Path("in.jsonl").write_text('{"n": "1"}\n{"n": "x"}\nno\n', encoding="utf-8")
    with open("in.avro", "wb") as file:
        fastavro.writer(file, SCHEMA, [{"n": "1"}, {"n": "x"}])


def _subclasses(cls: type) -> Iterator[type]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def test_every_class_of_ours_that_beam_asks_for_types_answers_itself() -> None:
    for module in pkgutil.walk_packages(obs.__path__, "beam_obs."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    asked = {*_subclasses(beam.DoFn), *_subclasses(beam.PTransform)}
    ours = {cls for cls in asked if cls.__module__.startswith("beam_obs.")}
    assert len(ours) > 50
    for cls in ours:
        inspected: list[Any] = [getattr(cls, name, None) for name in ("process", "expand")]
        told = [note for one in inspected for note in getattr(one, "__annotations__", {}).values()]
        answers = issubclass(cls, Untyped) or "default_type_hints" in vars(cls)
        assert answers or not any(isinstance(note, str) for note in told), (
            f"{cls.__module__}.{cls.__qualname__} has annotations that are text: let it derive from Untyped"
        )


def _said(caplog: pytest.LogCaptureFixture) -> set[str]:
    """What was logged, without numbers."""
    return {f"{one.name}: {re.split('[0-9=]', str(one.msg), maxsplit=1)[0]}" for one in caplog.records}


def _steps(p: beam.Pipeline) -> Any:
    words = p | "read" >> beam.io.ReadFromText("in.txt")
    pairs = words | "pair" >> beam.Map(lambda word: (word, 1))
    ones = pairs | "one" >> beam.Filter(lambda pair: pair[0] != "x")
    counts = pairs | "count" >> beam.CombinePerKey(sum)
    total = pairs | "values" >> beam.Values() | "total" >> beam.CombineGlobally(sum)
    both = {"ones": ones, "counts": counts} | "join" >> beam.CoGroupByKey()
    kept = both | "side" >> beam.Map(lambda pair, number: f"{pair} {number}", beam.pvalue.AsSingleton(total))
    spread = kept | beam.Reshuffle() | "split" >> beam.FlatMap(str.split)
    batches = spread | beam.BatchElements() | "sizes" >> beam.Map(len)
    _ = pairs | "group" >> beam.GroupByKey() | "tuples" >> beam.MapTuple(lambda key, values: str(key))
    return batches | "text" >> beam.Map(str) | "write" >> beam.io.WriteToText("out")


def _reads(p: beam.Pipeline) -> Any:
    csv = p | "csv" >> obs.ReadFromCsv("in.csv")
    json = p | "json" >> obs.ReadFromJson("in.jsonl")
    avro = p | "avro" >> obs.ReadFromAvro("in.avro")
    texts = p | "text" >> obs.ReadFromText("in.txt")
    files = p | "files" >> obs.ReadWholeFiles("in.txt")
    named = texts | "named" >> beam.Map(lambda text: {"n": text})
    rows = (csv, json, avro, named) | beam.Flatten()
    _ = files | "names" >> beam.Map(lambda file: file.uri)
    return rows


def _writes(p: beam.Pipeline) -> Any:
    rows = _reads(p)
    _ = rows | "to json" >> obs.WriteToJson("json", stamp=True)
    _ = rows | "to avro" >> obs.WriteToAvro("avro", SCHEMA)
    _ = rows | "texts" >> beam.Map(str) | "to text" >> obs.WriteToText("text")
    return rows | "to beam's" >> obs.Sink(beam.io.WriteToText("beam"))


def _stages(p: beam.Pipeline) -> Any:
    lines = p | "lines" >> obs.Source(beam.io.ReadFromText("in.txt"), dataset="lines")
    numbers, _ = lines | "parse" >> obs.Stage(beam.Map(int)).with_dead_letters()
    _ = lines | "refuse" >> obs.Stage(beam.Map(int), max_dead_rate=0.9).with_dead_letters()
    rows = numbers | "rows" >> beam.Map(lambda number: {"n": str(number)})
    checked, _ = rows | "check" >> obs.Check(obs.not_null("n"), obs.unique("n")).with_dead_letters()
    stamped = checked | "stamp" >> obs.Stamp()
    sums = numbers | "keys" >> beam.WithKeys(lambda number: number % 2)
    _ = sums | "sums" >> obs.Stage(beam.CombinePerKey(sum))
    return stamped


def _homes(p: beam.Pipeline) -> Any:
    for name, home in (("lines", obs.JsonLines("lines")), ("avro", obs.AvroFiles("avro"))):
        with obs.DeadLetters(home, label=f"home {name}") as dead:
            _ = (
                p
                | f"create {name}" >> beam.Create(["1", "x"])
                | f"parse {name}" >> obs.Stage(beam.Map(int), dead_letters=dead)
            )


@pytest.mark.parametrize("build", [_reads, _writes, _stages, _homes])
def test_our_transforms_give_beam_no_annotation_that_is_text(
    build: Callable[[beam.Pipeline], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), obs.Pipeline("FnApiRunner", argv=[OFF], name="quiet") as p:
        build(p)
    assert [line for line in caplog.messages if MESSAGE in line] == []


@pytest.mark.parametrize("build", [_stages, _homes])
def test_our_transforms_on_a_bare_pipeline_are_as_silent(
    build: Callable[[beam.Pipeline], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), beam.Pipeline("FnApiRunner") as p:
        build(p)
    assert [line for line in caplog.messages if MESSAGE in line] == []


def test_services_are_as_silent(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        p = beam.Pipeline("FnApiRunner", options=PipelineOptions(["--project=project", "--streaming"]))
        rows = p | beam.Create([{"n": "1"}])
        _ = rows | "rows" >> obs.WriteToBigQuery(
            "project:d.t", schema="n:STRING", insert_retry_strategy=RetryStrategy.RETRY_NEVER
        )
        _ = (
            rows
            | "bytes" >> beam.Map(repr)
            | beam.Map(str.encode)
            | obs.WriteToPubSub("projects/project/topics/t")
        )
        for name, home in (
            ("rows", obs.BigQueryRows("project:d.dead")),
            ("bus", obs.PubSubMessages("projects/project/topics/d")),
        ):
            with obs.DeadLetters(home, label=name) as dead:
                _ = rows | f"refuse {name}" >> obs.Stage(beam.Map(int), dead_letters=dead)
    assert [line for line in caplog.messages if MESSAGE in line] == []


def test_a_woven_pipeline_logs_what_it_logs_bare(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), beam.Pipeline("FnApiRunner") as p:
        _steps(p)
    bare = _said(caplog)
    for file in pathlib.Path().glob("out*"):
        file.unlink()
    caplog.clear()
    with caplog.at_level(logging.INFO), obs.Pipeline("FnApiRunner", argv=[OFF], name="quiet") as p:
        _steps(p)
    assert _said(caplog) - bare == set()
