"""What leaves a woven pipeline is in the output index, and what ends in it too."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.io import tfrecordio
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import window

import beam_obs as obs
from beam_obs.records.lineage_rows import NOT_KNOWN
from beam_obs.records.record_content import output_digest, record_content
from beam_obs.records.weave_report import WeaveReport, WovenSink
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from tests.weaving.provenance import RUNNERS, made, read_rows

AVRO = {"type": "record", "name": "trip", "fields": [{"name": "id", "type": "long"}]}


def run(
    build: Callable[[Any], Any], folder: pathlib.Path, runner: str = "fn_api", **settings: Any
) -> tuple[WeaveReport, dict[str, dict[bytes, bytes]]]:
    """Runs a pipeline woven; returns the report, and the output index: step -> digest -> origin."""
    evidence = folder / "evidence"
    evidence.mkdir(parents=True)
    with weaving(WeaveSettings(evidence=str(evidence), strict=True, **settings)) as reports:
        pipeline = beam.Pipeline(runner=RUNNERS[runner]())
        build(pipeline)
        pipeline.run().wait_until_finish()
    found: dict[str, dict[bytes, bytes]] = collections.defaultdict(dict)
    for step, row in read_rows(str(evidence), "output_index"):
        assert row["digest"] not in found[step], "a record is in the index twice"
        found[step][row["digest"]] = row["origin"]
    return reports[-1], dict(found)


def index_of(*records: Any) -> dict[bytes, bytes]:
    """Returns the index of records that a Create made, in its order."""
    return {output_digest(record_content(record)): made("make", at) for at, record in enumerate(records)}


@pytest.mark.parametrize("runner", ["fn_api", "bundles"])
def test_a_write_of_ours_is_woven_and_indexed_by_the_bytes_that_it_writes(
    runner: str, tmp_path: pathlib.Path
) -> None:
    def build(pipeline: Any) -> None:
        trips = pipeline | "make" >> beam.Create([{"id": 1}, {"id": 2}])
        names = trips | "write" >> obs.WriteToJson(str(tmp_path / "trips"), ".jsonl")
        names | "look" >> beam.Map(lambda name: name.upper())

    report, found = run(build, tmp_path, runner)

    written = [line for path in tmp_path.glob("trips*") for line in path.read_bytes().splitlines()]
    assert sorted(written) == [b'{"id": 1}', b'{"id": 2}']
    assert found == {"write": index_of(b'{"id": 1}', b'{"id": 2}')}
    assert report.opaque == {}
    assert [sink.label for sink in report.sinks] == ["write"]
    assert "write/Observed" in report.woven


def test_avro_of_ours_is_indexed_by_its_encoding(tmp_path: pathlib.Path) -> None:
    _, found = run(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create([{"id": 1}, {"id": 2}])
            | "write" >> obs.WriteToAvro(str(tmp_path / "trips"), AVRO)
        ),
        tmp_path,
    )

    assert found == {"write": index_of(b"\2", b"\4")}


def test_dead_letters_of_a_write_are_no_outputs(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "run"
    options = PipelineOptions([f"--obs_store={folder}", "--obs_lineage=strict"])
    with obs.Pipeline(RUNNERS["fn_api"](), options, name="dead") as pipeline:
        trips = pipeline | "make" >> beam.Create([{"id": 1}, {"id": "x"}])
        trips | "write" >> obs.WriteToAvro(str(tmp_path / "trips"), AVRO)

    (run_folder,) = folder.glob("runs/dead/*")
    assert [row["digest"] for _, row in read_rows(str(run_folder), "output_index")] == [output_digest(b"\2")]
    assert len(list(run_folder.glob("dead_letters-*"))) == 1


def test_text_of_beams_is_indexed_by_its_line(tmp_path: pathlib.Path) -> None:
    report, found = run(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create([{"id": 1}, ("a", 2)])
            | "write" >> beam.io.WriteToText(str(tmp_path / "trips"), ".txt")
        ),
        tmp_path,
    )

    assert found == {"write": index_of("{'id': 1}", "('a', 2)")}
    assert report.sinks == [WovenSink("write", f"{tmp_path}/trips", stamped=False)]


def test_records_of_beams_are_indexed_by_their_fields(tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> None:
        trips = pipeline | "make" >> beam.Create([{"id": 1}, {"id": 2}])
        trips | "avro" >> beam.io.WriteToAvro(str(tmp_path / "trips"), AVRO)
        texts = trips | "encode" >> beam.Map(lambda trip: str(trip["id"]).encode())
        texts | "tf" >> tfrecordio.WriteToTFRecord(str(tmp_path / "tf"))

    _, found = run(build, tmp_path)

    assert found == {"avro": index_of({"id": 1}, {"id": 2}), "tf": index_of(b"1", b"2")}


def test_a_sink_in_an_observed_one_goes_by_its_label(tmp_path: pathlib.Path) -> None:
    report, found = run(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create(["a"])
            | "trips" >> obs.Sink(beam.io.WriteToText(str(tmp_path / "trips")))
        ),
        tmp_path,
    )

    assert found == {"trips": index_of("a")}
    assert [sink.label for sink in report.sinks] == ["trips"]


@pytest.mark.parametrize("runner", ["fn_api", "bundles"])
def test_what_enters_a_step_that_nobody_takes_from_is_noted(runner: str, tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> None:
        trips = pipeline | "make" >> beam.Create(["a", "b"])
        trips | "load" >> beam.Map(lambda trip: None)
        trips | "stage" >> obs.Stage(beam.Map(len))

    report, found = run(build, tmp_path, runner)

    assert found == {"load": index_of("a", "b"), "stage": index_of("a", "b")}
    assert sorted(report.ends) == ["load", "stage"]


def test_also_where_the_step_cannot_be_woven(tmp_path: pathlib.Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    with weaving(WeaveSettings(evidence=str(evidence))) as reports:
        pipeline = beam.Pipeline(runner=RUNNERS["fn_api"]())
        numbers = pipeline | "make" >> beam.Create([1, 2])
        numbers | "opaque" >> beam.ParDo(Opaque())
        pipeline.run()

    assert {row["digest"]: row["origin"] for _, row in read_rows(str(evidence), "output_index")} == index_of(
        1, 2
    )
    assert list(reports[-1].opaque) == ["opaque"]


def test_in_windows_too(tmp_path: pathlib.Path) -> None:
    _, found = run(
        lambda pipeline: (
            pipeline
            | "make" >> beam.Create([("a", 1), ("b", 2)])
            | "when" >> beam.MapTuple(lambda trip, at: window.TimestampedValue(trip, at))
            | "windows" >> beam.WindowInto(window.FixedWindows(1))
            | "load" >> beam.Map(lambda trip: None)
        ),
        tmp_path,
    )

    assert found == {"load": index_of("a", "b")}


class Split(beam.DoFn):
    def process(self, number: int) -> Any:
        yield number if number % 2 else beam.pvalue.TaggedOutput("even", number)


def test_what_nobody_takes_is_noted_behind_the_step(tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> None:
        numbers = pipeline | "make" >> beam.Create([1, 2])
        parts = numbers | "split" >> beam.ParDo(Split()).with_outputs("even", main="odd")
        parts.odd | "sum" >> beam.CombineGlobally(sum)
        numbers | "shuffle" >> beam.Reshuffle()

    report, found = run(build, tmp_path)

    assert found["split[even]"] == {output_digest(b"2"): made("make", 1)}
    assert found["shuffle"] == index_of("1", "2")
    assert set(report.ends) >= {"split[even]", "shuffle"}


def test_an_aggregate_that_nobody_takes_is_not_noted(tmp_path: pathlib.Path) -> None:
    _, found = run(
        lambda pipeline: (
            pipeline | "make" >> beam.Create([("a", 1), ("a", 2)]) | "sum" >> beam.CombinePerKey(sum)
        ),
        tmp_path,
    )

    assert found == {}


def test_a_record_without_an_origin_has_none_in_the_index(tmp_path: pathlib.Path) -> None:
    evidence = tmp_path / "evidence"
    evidence.mkdir()

    with weaving(WeaveSettings(evidence=str(evidence))):
        pipeline = beam.Pipeline(runner=RUNNERS["fn_api"]())
        numbers = pipeline | "make" >> beam.Create([1, 2])
        opaque = numbers | "opaque" >> beam.ParDo(Opaque())
        named = numbers | "named" >> beam.Map(str)
        (opaque, named) | beam.Flatten() | "write" >> beam.io.WriteToText(str(tmp_path / "out"))
        pipeline.run()

    found = {row["digest"]: row["origin"] for _, row in read_rows(str(evidence), "output_index")}
    assert found[output_digest(b"batch")] == NOT_KNOWN
    assert found[output_digest(b"1")] == made("make", 0)


class Opaque(beam.DoFn):
    """Cannot be woven."""

    def process_batch(self, batch: list[int]) -> Any:
        yield ["batch"]

    def infer_output_type(self, input_type: Any) -> Any:
        return str

    def get_input_batch_type(self, input_element_type: Any) -> Any:
        return beam.typehints.List[int]

    def get_output_batch_type(self, input_element_type: Any) -> Any:
        return beam.typehints.List[str]

    def finish_bundle(self) -> Any:
        return []


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_share_of_the_records_is_noted(share: float, tmp_path: pathlib.Path) -> None:
    _, found = run(
        lambda pipeline: (
            pipeline | "make" >> beam.Create(range(400)) | "load" >> beam.Map(lambda number: None)
        ),
        tmp_path,
        output_share=share,
    )

    if share:
        assert 150 < len(found["load"]) < 250
    else:
        assert found == {}


def test_more_rows_than_leave_at_once_are_all_there(tmp_path: pathlib.Path) -> None:
    _, found = run(
        lambda pipeline: (
            pipeline | "make" >> beam.Create(range(5000)) | "load" >> beam.Map(lambda number: None)
        ),
        tmp_path,
    )

    assert found == {"load": index_of(*map(str, range(5000)))}


def test_what_is_kept_of_elements_that_a_step_gave_nothing_of(tmp_path: pathlib.Path) -> None:
    evidence = tmp_path / "evidence"

    def build(pipeline: Any) -> None:
        numbers = pipeline | "make" >> beam.Create(range(6))
        even = numbers | "even" >> beam.Filter(lambda number: number % 2 == 0)
        small = even | "small" >> obs.Stage(beam.FlatMap(lambda number: [number] if number < 3 else []))
        windowed = small | "stamp" >> beam.Map(lambda number: window.TimestampedValue(number, number))
        windows = windowed | "windows" >> beam.WindowInto(window.FixedWindows(1))
        windows | "positive" >> beam.Filter(lambda number: number > 0) | "load" >> beam.Map(print)

    run(build, tmp_path, filtered_share=1.0)

    found = sorted((row["step"], row["origin"]) for _, row in read_rows(str(evidence), "filtered"))
    assert found == sorted(
        [
            *(("even", made("make", at)) for at in (1, 3, 5)),
            ("small", made("make", 4)),
            ("positive", made("make", 0)),
        ]
    )


def test_a_share_of_them_is_noted(tmp_path: pathlib.Path) -> None:
    def build(pipeline: Any) -> None:
        numbers = pipeline | "make" >> beam.Create(range(1000))
        numbers | "none" >> beam.Filter(lambda number: False) | "load" >> beam.Map(print)

    run(build, tmp_path, filtered_share=0.5)

    assert 400 < len(list(read_rows(str(tmp_path / "evidence"), "filtered"))) < 600


def _everything(folder: pathlib.Path, runner: str) -> dict[str, collections.Counter[Any]]:
    """Returns the rows of evidence of a pipeline with every kind of them, and how often each is there."""

    def build(pipeline: Any) -> None:
        numbers = pipeline | "make" >> beam.Create(range(60))
        odd = numbers | "odd" >> beam.Filter(lambda number: number % 2)
        pairs = odd | "pairs" >> beam.Map(lambda number: (number % 3, number))
        sums = pairs | "sum" >> beam.CombinePerKey(sum)
        sums | "encode" >> beam.Map(str) | "write" >> beam.io.WriteToText(str(folder / "sums"))
        pairs | "load" >> beam.Map(lambda pair: None)
        pairs | "group" >> beam.GroupByKey() | "trips" >> obs.WriteToText(str(folder / "trips"))

    run(build, folder, runner, filtered_share=1.0)
    return {
        kind: collections.Counter(
            (step, repr(sorted(row.items()))) for step, row in read_rows(str(folder / "evidence"), kind)
        )
        for kind in ("derivations", "output_index", "filtered")
    }


@pytest.mark.parametrize("runner", ["bundles", "retried"])
def test_evidence_is_the_same_on_every_runner_and_bundles_that_fail_double_nothing(
    runner: str, tmp_path: pathlib.Path
) -> None:
    wanted = _everything(tmp_path / "fn_api", "fn_api")

    found = _everything(tmp_path / runner, runner)

    # The order of a group's values is the runner's: its text is another record then.
    for rows in (wanted["output_index"], found["output_index"]):
        for row in [row for row in rows if row[0] == "trips"]:
            del rows[row]
    assert found == wanted
    assert {kind: sum(rows.values()) for kind, rows in found.items()} == {
        "derivations": 6,
        "output_index": 33,
        "filtered": 30,
    }
    assert all(count == 1 for rows in found.values() for count in rows.values())


def test_a_check_that_counts_keeps_the_origin_of_each_record(tmp_path: pathlib.Path) -> None:
    options = PipelineOptions([f"--obs_store={tmp_path}", "--obs_lineage=strict"])
    records = [{"id": 1}, {"id": None}, {"id": 3}]
    with obs.Pipeline(RUNNERS["fn_api"](), options, name="counts") as pipeline:
        checked = (
            pipeline
            | "make" >> beam.Create(records)
            | "check" >> obs.Check(obs.not_null("id"), on_break="count")
        )
        checked | "load" >> beam.Map(lambda record: None)

    (folder,) = tmp_path.glob("runs/counts/*")
    rows = list(read_rows(str(folder), "output_index"))
    assert {step for step, _ in rows} == {"load"}
    assert {row["digest"]: row["origin"] for _, row in rows} == index_of(*records)
    assert not list(read_rows(str(folder), "derivations"))
