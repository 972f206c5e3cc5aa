"""Answers about real woven runs: what went in is known, so what is answered can be held against it."""

from __future__ import annotations

import csv
import gzip
import json
import pathlib
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.lineage import (
    CHANGED,
    COMPLETE,
    GONE,
    NOT_RECORDED,
    SAMPLED,
    VERIFIED,
    Fate,
    FromAggregate,
    FromSource,
    NotRead,
    affected,
    fate,
    sources,
    why,
)
from beam_obs.store.store import StoreNotFound
from tests.shared_runs import go_where_it_ran

ROWS = ["id,name,value", "1,a,10", "2,b,20", "3,a,x", "4,b,-5", "5,a,30", "6,c,40"]


def write_rows(path: str = "in.csv", rows: Iterable[str] = ROWS) -> None:
    pathlib.Path(path).write_text("".join(f"{row}\n" for row in rows))


def parse(record: dict[str, str]) -> dict[str, Any]:
    return {**record, "value": int(record["value"])}


def run(*options: str, name: str = "sums", runner: str = "FnApiRunner") -> str:
    """Reads in.csv, refuses line 4, filters line 5, sums by name: a = 10 + 30, b = 20, c = 40."""
    with obs.Pipeline(runner, argv=["--obs_report=off", *options], name=name) as p:
        good = (
            p
            | "read" >> obs.ReadFromCsv("in.csv")
            | "parse" >> obs.Stage(beam.Map(parse))
            | "positive" >> beam.Filter(lambda record: record["value"] > 0)
        )
        good | "as text" >> beam.Map(json.dumps) | "write text" >> beam.io.WriteToText("text")
        sums = (
            good
            | "key" >> beam.Map(lambda record: (record["name"], record["value"]))
            | "sum" >> beam.CombinePerKey(sum)
            | "as dict" >> beam.MapTuple(lambda name, total: {"name": name, "total": total})
        )
        sums | "write sums" >> obs.WriteToJson("sums")
        (
            sums
            | "same key" >> beam.Map(lambda record: ("all", record["total"]))
            | "group all" >> beam.GroupByKey()
            | "largest" >> beam.MapTuple(lambda key, totals: f"{key} {max(totals)}")
            | "write largest" >> beam.io.WriteToText("largest", ".txt")
        )
    return obs.Store().find("latest").id


def lines_of(tree: FromSource | FromAggregate) -> list[int | None]:
    if isinstance(tree, FromSource):
        assert tree.record.state == VERIFIED
        return [tree.record.line]
    return sorted(line for one in tree.contributors for line in lines_of(one))  # type: ignore[type-var]


def written(answer: Fate) -> set[str]:
    assert answer.into is not None

    def sinks(into: Any) -> Iterable[str]:
        yield from (one.sink for one in into.written)
        for aggregate in into.aggregates:
            yield from sinks(aggregate)

    return set(sinks(answer.into))


@pytest.fixture(params=["FnApiRunner", "BundleBasedDirectRunner"])
def woven(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    def ran() -> None:
        write_rows()
        run(runner=request.param)

    go_where_it_ran(monkeypatch, tmp_path_factory, f"sums-on-{request.param}", ran)
    return obs.Store().find("latest").id


def test_a_record_of_a_sink_of_beams_leads_to_its_line(woven: str) -> None:
    answer = why("text", {"id": "5"})
    (tree,) = answer.made_of
    assert isinstance(tree, FromSource)
    assert (tree.record.line, tree.record.text) == (6, "5,a,30")
    assert answer.certainty.kind == COMPLETE
    assert answer.sinks == ("write text",)
    assert [part.text for part in tree.path] == ["read", "parse", "positive", "as text", "write text"]


def test_an_aggregate_leads_to_its_lines(woven: str) -> None:
    answer = why("sums*", {"name": "a"})
    (tree,) = answer.made_of
    assert isinstance(tree, FromAggregate)
    assert (tree.step, tree.count, lines_of(tree)) == ("sum", 2, [2, 6])
    assert answer.certainty.kind == COMPLETE
    assert [part.text for part in tree.path] == ["sum", "as dict", "write sums"]


def test_an_aggregate_of_one_is_its_record(woven: str) -> None:
    answer = why("sums*", {"name": "c"})
    (tree,) = answer.made_of
    assert isinstance(tree, FromSource)
    assert lines_of(tree) == [7]


def test_an_aggregate_of_aggregates_is_a_tree(woven: str) -> None:
    (file,) = pathlib.Path().glob("largest*")
    answer = why(str(file))
    (tree,) = answer.made_of
    assert isinstance(tree, FromAggregate)
    assert (tree.step, tree.count) == ("group all", 3)
    assert sorted(type(one).__name__ for one in tree.contributors) == [
        "FromAggregate",
        "FromSource",
        "FromSource",
    ]
    assert lines_of(tree) == [2, 3, 6, 7]
    assert answer.certainty.kind == COMPLETE


def test_a_line_is_followed_to_every_sink(woven: str) -> None:
    answer = fate("in.csv:2")
    assert written(answer) == {"write text", "write sums", "write largest"}
    assert answer.certainty.kind == COMPLETE
    assert answer.record is not None
    assert answer.record.text == "1,a,10"


def test_a_refused_line_leads_to_its_dead_letter(woven: str) -> None:
    into = fate("in.csv:4").into
    assert into is not None
    (letter,) = into.dead_letters
    assert (letter.stage, letter.error_type) == ("parse", "ValueError")
    assert not into.end


def test_a_filtered_line_is_found_by_elimination(woven: str) -> None:
    answer = fate("in.csv:5")
    assert answer.into is not None
    assert answer.into.end.startswith("filtered, by elimination")
    assert "positive" in answer.into.ended_at
    assert answer.certainty.kind == COMPLETE


def test_a_header_is_no_record(woven: str) -> None:
    answer = fate("in.csv:1")
    assert answer.into is None
    assert "header" in answer.notes[0]


def test_an_origin_is_asked_for_as_it_is_printed(woven: str) -> None:
    origin = why("sums*", {"name": "a"}).origin
    assert origin is not None
    assert lines_of(why(origin.hex()).made_of[0]) == [2, 6]
    assert written(fate(origin.hex())) == {"write sums", "write largest"}


def test_a_step_that_filtered_is_named_where_it_is_noted() -> None:
    write_rows()
    run("--obs_lineage_filtered=all")
    answer = fate("in.csv:5")
    assert answer.into is not None
    assert (answer.into.end, answer.into.filtered) == ("filtered", ("positive",))


def test_a_source_that_changed_is_not_shown() -> None:
    write_rows()
    run()
    write_rows(rows=[*ROWS, "7,d,50"])
    (tree,) = why("text", {"id": "5"}).made_of
    assert isinstance(tree, FromSource)
    assert (tree.record.state, tree.record.text) == (CHANGED, None)
    pathlib.Path("in.csv").unlink()
    (tree,) = why("text", {"id": "5"}).made_of
    assert isinstance(tree, FromSource)
    assert tree.record.state == GONE


def test_the_newest_run_that_read_the_file_as_it_is_answers() -> None:
    write_rows()
    first = run()
    write_rows(rows=[*ROWS, "7,d,50"])
    second = run()
    assert fate("in.csv:8").run.id == second  # type: ignore[union-attr]
    write_rows()
    assert fate("in.csv:2").run.id == first  # type: ignore[union-attr]
    assert fate("in.csv:2", run=second).notes[0].endswith("it was " + sources(second).partitions[0].version)


def test_records_of_equal_bytes_are_told(tmp_path: pathlib.Path) -> None:
    write_rows(rows=["same", "same", "other"])
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="copy") as p:
        p | "read" >> obs.ReadFromText("in.csv") | "write" >> beam.io.WriteToText("copy")
    (file,) = pathlib.Path().glob("copy*")
    number = file.read_text().splitlines().index("same") + 1
    answer = why(f"{file}:{number}")
    assert answer.origin is None
    assert sorted(line for tree in answer.made_of for line in lines_of(tree)) == [1, 2]  # type: ignore[type-var]
    assert "2 records of the sink have equal bytes" in answer.notes[0]


SCHEMA = {
    "type": "record",
    "name": "Row",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "value", "type": ["null", "double"], "default": None},
    ],
}


def as_row(record: dict[str, str]) -> dict[str, Any]:
    value = int(record["value"]) if record["value"].isdigit() else None
    return {"id": record["id"], "value": value} if value is not None else {"id": record["id"]}


def writes() -> dict[str, Any]:
    pyarrow = pytest.importorskip("pyarrow")
    schema = pyarrow.schema([("id", pyarrow.string()), ("value", pyarrow.float64())])
    return {
        "beam avro": lambda rows: (
            rows | "write" >> beam.io.WriteToAvro("out", SCHEMA, file_name_suffix=".avro")
        ),
        "our avro": lambda rows: rows | "write" >> obs.WriteToAvro("out", SCHEMA, file_name_suffix=".avro"),
        "our json": lambda rows: rows | "write" >> obs.WriteToJson("out", ".jsonl.gz"),
        "beam parquet": lambda rows: (
            rows
            | "all" >> beam.Map(lambda row: {"value": None, **row})
            | "write" >> beam.io.WriteToParquet("out", schema, file_name_suffix=".parquet")
        ),
        "beam text": lambda rows: (
            rows | "dump" >> beam.Map(json.dumps) | "write" >> beam.io.WriteToText("out", ".json.bz2")
        ),
    }


@pytest.mark.parametrize("kind", ["beam avro", "our avro", "our json", "beam parquet", "beam text"])
def test_records_are_read_back_from_every_format(kind: str) -> None:
    write_rows()
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="formats") as p:
        rows = p | "read" >> obs.ReadFromCsv("in.csv") | "row" >> beam.Map(as_row)
        writes()[kind](rows)
    for line, row in enumerate(csv.DictReader(ROWS), 2):
        answer = why("out", {"id": row["id"]})
        assert answer.certainty.kind == COMPLETE, answer.certainty
        assert [one for tree in answer.made_of for one in lines_of(tree)] == [line]
        assert answer.record is not None
        again = why(f"{answer.record.file}:{answer.record.number}")
        assert again.origin == answer.origin


def test_a_compressed_source_is_read_again() -> None:
    with gzip.open("in.csv.gz", "wt") as file:
        file.writelines(f"{row}\n" for row in ROWS)
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="zipped") as p:
        p | "read" >> obs.ReadFromCsv("in.csv.gz") | "write" >> obs.WriteToJson("out")
    (tree,) = why("out", {"id": "5"}).made_of
    assert isinstance(tree, FromSource)
    assert (tree.record.state, tree.record.line, tree.record.text) == (VERIFIED, 6, "5,a,30")
    assert written(fate("in.csv.gz:6")) == {"write"}


@pytest.mark.parametrize("kind", ["avro", "parquet"])
@pytest.mark.parametrize("ours", [True, False])
def test_records_of_files_of_blocks_are_counted(kind: str, ours: bool) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    rows = [{"id": str(number), "value": float(number)} for number in range(1000)]
    if kind == "avro":
        with open("in.avro", "wb") as file:
            fastavro.writer(file, SCHEMA, rows, sync_interval=500)
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), "in.parquet", row_group_size=90)
    reads = {
        ("avro", True): lambda: obs.ReadFromAvro("in.avro"),
        ("avro", False): lambda: beam.io.ReadFromAvro("in.avro"),
        ("parquet", True): lambda: obs.ReadFromParquet("in.parquet"),
        ("parquet", False): lambda: beam.io.ReadFromParquet("in.parquet"),
    }
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="blocks") as p:
        p | "read" >> reads[kind, ours]() | "write" >> obs.WriteToJson("out")
    for number in (1, 2, 91, 500, 1000):
        answer = fate(f"in.{kind}:{number}")
        assert answer.record is not None
        assert written(answer) == {"write"}
        if (kind, ours) == ("parquet", False):
            assert "of 90 rows" in str(answer.record.text) or number == 1000
            continue
        assert json.loads(str(answer.record.text))["id"] == str(number - 1)
        (tree,) = why("out", {"id": str(number - 1)}).made_of
        assert isinstance(tree, FromSource)
        assert tree.record.text == answer.record.text


def test_beams_own_read_of_text_has_lines_too() -> None:
    write_rows()
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="lines") as p:
        (
            p
            | "read" >> beam.io.ReadFromText("in.csv", skip_header_lines=1)
            | "write" >> beam.io.WriteToText("out")
        )
    assert written(fate("in.csv:3")) == {"write"}
    answer = fate("in.csv:1")
    assert answer.into is None
    assert answer.notes[0].endswith(
        "no record: the file has 1 more than were read; it is the one that was skipped"
    )


def test_of_a_large_group_the_answer_is_sampled() -> None:
    write_rows(rows=["id,name,value", *(f"{number},a,1" for number in range(3000))])
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="large") as p:
        (
            p
            | "read" >> obs.ReadFromCsv("in.csv")
            | "count" >> beam.combiners.Count.Globally()
            | "write" >> beam.io.WriteToText("count")
        )
    answer = why("count-00000-of-00001")
    (tree,) = answer.made_of
    assert isinstance(tree, FromAggregate)
    assert (tree.count, tree.kept, len(tree.contributors), tree.left_out) == (3000, 1024, 10, 1014)
    assert answer.certainty.kind == SAMPLED
    assert answer.certainty.rate == pytest.approx(1024 / 3000)
    shown = why("count-00000-of-00001", all_contributors=True).made_of[0]
    assert len(lines_of(shown)) == 1024
    answers = [fate(f"in.csv:{line}") for line in range(2, 42)]
    for one in answers:
        assert one.into is not None
        assert not one.into.end
        if one.into.aggregates:
            assert one.certainty.kind == COMPLETE
            assert written(one) == {"write"}
        else:
            assert one.certainty.kind == SAMPLED
            assert [maybe.origin for maybe in one.into.may_be_in] == [tree.origin]
    assert 3 <= sum(bool(one.into and one.into.aggregates) for one in answers) <= 30


def test_a_run_without_lineage_records_nothing() -> None:
    write_rows()
    run("--obs_lineage=off")
    answer = fate("in.csv:2")
    assert (answer.certainty.kind, answer.into) == (NOT_RECORDED, None)
    assert "--obs_lineage=off" in answer.certainty.reason
    assert why("sums*", {"name": "a"}).certainty.kind == NOT_RECORDED


def test_without_an_output_index_what_left_is_not_recorded() -> None:
    write_rows()
    run("--obs_output_index=off")
    answer = why("text", {"id": "5"})
    assert answer.certainty.kind == NOT_RECORDED
    assert "--obs_output_index=off" in answer.certainty.reason
    answer = fate("in.csv:5")
    assert answer.certainty.kind == NOT_RECORDED


class Opaque(beam.DoFn):
    def process(
        self, element: Any, key: Any = beam.DoFn.KeyParam, value: Any = beam.DoFn.WindowedValueParam
    ) -> Any:
        yield element


def test_a_record_that_the_last_step_refused_did_not_end_in_it() -> None:
    pathlib.Path("numbers.txt").write_text("1\nx\n2 y\n")
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="last") as p:
        words = p | "read" >> obs.ReadFromText("numbers.txt") | "split" >> beam.FlatMap(str.split)
        words | "parse" >> obs.Stage(beam.Map(int))
    ends = [
        (len(into.written), [letter.stage for letter in into.dead_letters])
        for line in (1, 2, 3)
        if (into := fate(f"numbers.txt:{line}").into) is not None
    ]
    assert ends == [(1, []), (0, ["parse"]), (1, ["parse"])]


def run_behind(step: beam.PTransform) -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="opaque") as p:
        (
            p
            | "read" >> obs.ReadFromCsv("in.csv")
            | "key" >> beam.Map(lambda record: (record["name"], record["id"]))
            | "dark" >> step
            | "line" >> beam.MapTuple(lambda name, number: f"{name} {number}")
            | "write" >> beam.io.WriteToText("out")
        )


def test_behind_an_opaque_step_nothing_is_guessed() -> None:
    write_rows()
    run_behind(beam.ParDo(Opaque()))
    answer = why("out-00000-of-00001:1")
    assert answer.certainty.kind == NOT_RECORDED
    assert not answer.made_of
    assert answer.certainty.reason.startswith(
        "what enters write has no origin: opaque steps before it: dark - "
    )
    gone = fate("in.csv:2")
    assert gone.certainty.kind == NOT_RECORDED
    assert "dark" in gone.certainty.reason


def test_no_older_run_answers_for_one_whose_sink_takes_no_origins() -> None:
    write_rows()
    run_behind(beam.Map(lambda pair: pair))
    first = why("out-00000-of-00001:1")
    run_behind(beam.ParDo(Opaque()))
    answer = why("out-00000-of-00001:1")
    assert (first.certainty.kind, answer.certainty.kind) == (COMPLETE, NOT_RECORDED)
    assert "dark - " in answer.certainty.reason


def write_lines(records: list[str]) -> list[str]:
    """Writes records as text, and returns the lines of the file."""
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="lines") as p:
        p | "make" >> beam.Create(records) | "write" >> beam.io.WriteToText("lines", num_shards=1)
    return pathlib.Path("lines-00000-of-00001").read_text().split("\n")[:-1]


def test_any_line_of_a_record_that_spans_lines_leads_to_it() -> None:
    records = [json.dumps({"n": n, "list": [n]}, indent=2) for n in range(2)] + ["{", "alone"]
    lines = write_lines(records)
    answers = [why(f"lines-00000-of-00001:{number}") for number in range(1, len(lines) + 1)]
    assert {answer.certainty.kind for answer in answers} == {COMPLETE}
    found = [answer.record for answer in answers if len(answer.made_of) == 1]
    assert all(record is not None and record.text in records for record in found)
    notes = {answer.notes for answer in answers if "part of the record" in "".join(answer.notes)}
    assert len(answers) - len(found) == 2  # the first lines, which are as the record of one line is
    assert len(notes) == 2 * records[0].count("\n")


def test_a_line_that_may_be_a_record_or_a_part_of_one_is_said_to_be_either() -> None:
    write_lines(["a\nb\nc", "b"])
    lines = pathlib.Path("lines-00000-of-00001").read_text().split("\n")
    answer = why(f"lines-00000-of-00001:{lines.index('a') + 2}")
    assert len(answer.made_of) == 2
    assert "may be a record of its own or part of lines" in answer.notes[0]
    (tree,) = why(f"lines-00000-of-00001:{lines.index('c') + 1}").made_of
    assert tree in answer.made_of


def test_what_a_file_touched_is_counted_through_aggregates(woven: str) -> None:
    answer = affected(source="in.csv")
    (touched,) = answer.runs
    assert answer.certainty.kind == COMPLETE
    assert {sink.label: (sink.records, sink.by_aggregates, sink.of) for sink in touched.sinks} == {
        "write text": (4, 0, 4),
        "write sums": (3, 1, 3),
        "write largest": (1, 1, 1),
    }
    assert (touched.read, touched.dead) == (6, 0)
    assert affected(source="other.csv").runs == ()


def test_what_a_version_of_the_code_touched_is_all_that_it_wrote(woven: str) -> None:
    version = obs.Store().find("latest").start["code"]["version"]
    (touched,) = affected(code=version[:6]).runs
    assert {sink.label for sink in touched.sinks} >= {"write text", "write sums", "write largest"}
    assert affected(code="nothing of it").runs == ()


def test_sources_tells_what_a_run_read(woven: str) -> None:
    (partition,) = sources().partitions
    assert (partition.source, partition.records, partition.dead) == ("read", 6, 0)
    assert partition.uri == str(pathlib.Path("in.csv").absolute())


def test_a_file_that_no_run_read_is_said_so(woven: str, tmp_path: pathlib.Path) -> None:
    write_rows(f"{tmp_path}/other.csv")
    with pytest.raises(NotRead, match="says that it read"):
        fate(f"{tmp_path}/other.csv:2")


def test_what_is_read_as_a_side_input_is_said_so() -> None:
    write_rows()
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="beside") as p:
        names = (
            p
            | "read" >> obs.ReadFromCsv("in.csv")
            | "name" >> beam.Map(lambda record: (record["name"], record["id"]))
        )
        (
            p
            | beam.Create(["a", "b"])
            | "look up" >> beam.Map(lambda name, known: f"{name} {known[name]}", beam.pvalue.AsDict(names))
            | "write" >> beam.io.WriteToText("out")
        )
    answer = fate("in.csv:2")
    assert answer.certainty.kind == NOT_RECORDED
    assert "read as one by look up" in answer.certainty.reason
    (touched,) = affected(source="in.csv").runs
    assert touched.side_readers == ("look up",)
    assert [(sink.label, sink.records) for sink in touched.sinks] == [("write", None)]


class Known(beam.PTransform):
    """Makes something of records, and reads it as a side input."""

    def expand(self, records: Any) -> Any:
        counts = (
            records
            | "name" >> beam.Map(lambda record: (record["name"], 1))
            | "count" >> beam.CombinePerKey(sum)
        )
        names = records.pipeline | beam.Create(["a", "b"])
        return names | "look up" >> beam.Map(
            lambda name, known: f"{name} {known[name]}", beam.pvalue.AsDict(counts)
        )


def test_what_is_read_as_a_side_input_within_one_step_is_said_so() -> None:
    write_rows()
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="within") as p:
        p | "read" >> obs.ReadFromCsv("in.csv") | "known" >> Known() | "write" >> beam.io.WriteToText("out")
    answer = fate("in.csv:2")
    assert answer.certainty.kind == NOT_RECORDED
    assert "read as one by known" in answer.certainty.reason
    (touched,) = affected(source="in.csv").runs
    assert touched.side_readers == ("known/look up",)


def test_a_record_of_several_lines_is_found_by_each_of_them() -> None:
    write_rows(rows=["id,text", '1,"one', 'two"', "2,three"])
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="quoted") as p:
        p | "read" >> obs.ReadFromCsv("in.csv", multiline=True) | "write" >> obs.WriteToJson("out")
    (tree,) = why("out", {"id": "1"}).made_of
    assert isinstance(tree, FromSource)
    assert (tree.record.line, tree.record.text) == (2, '1,"one\ntwo"')
    for line in (2, 3, 4):
        assert written(fate(f"in.csv:{line}")) == {"write"}


def test_of_a_run_that_failed_what_was_committed_is_told() -> None:
    write_rows()

    def fail(record: dict[str, str]) -> dict[str, str]:
        if record["id"] == "6":
            raise RuntimeError("no more")
        return record

    with (
        pytest.raises(RuntimeError, match="no more"),
        obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="failing") as p,
    ):
        p | "read" >> obs.ReadFromCsv("in.csv") | "fail" >> beam.Map(fail) | beam.io.WriteToText("out")
    answer = fate("in.csv:2", run="latest") if sources().partitions else None
    if answer is not None:
        assert answer.certainty.kind == NOT_RECORDED
        assert "failed" in answer.certainty.reason


def test_files_with_one_name_in_two_folders_are_told_apart() -> None:
    for folder in ("x", "y"):
        pathlib.Path(folder).mkdir()
        write_rows(f"{folder}/in.csv", [*ROWS, f"9,{folder},90"])
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="two") as p:
        p | "read" >> obs.ReadFromCsv("*/in.csv") | "write" >> obs.WriteToJson("out")
    for folder in ("x", "y"):
        (tree,) = why("out", {"name": folder}).made_of
        assert isinstance(tree, FromSource)
        assert tree.partition is not None
        assert str(tree.partition.uri).endswith(f"{folder}/in.csv")


def test_a_position_within_a_record_is_none() -> None:
    write_rows()
    run()
    for position in (14, 15, 10_000):
        answer = fate(f"in.csv@{position}")
        assert (answer.into is None) == (position != 14), answer.notes
    assert "within line 2" in fate("in.csv@15").notes[0]


def test_copies_of_a_file_are_told() -> None:
    for folder in ("x", "y"):
        pathlib.Path(folder).mkdir()
        write_rows(f"{folder}/in.csv")
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="copies") as p:
        reads = [p | f"read {folder}" >> obs.ReadFromCsv(f"{folder}/in.csv") for folder in ("x", "y")]
        reads | beam.Flatten() | "write" >> obs.WriteToJson("out")
    (tree,) = why("out", {"id": "1"}).made_of[:1]
    assert isinstance(tree, FromSource)
    assert tree.record.text == "1,a,10"
    assert "copies of one another" in tree.record.note
    assert any("copies of one another" in note for note in fate("y/in.csv:2").notes)


def test_a_step_whose_windows_hold_all_that_came_dropped_nothing_as_late() -> None:
    write_rows()
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="windows") as p:
        (
            p
            | "read" >> obs.ReadFromCsv("in.csv")
            | "positive" >> beam.Filter(lambda record: record["value"] != "-5")
            | "time" >> beam.Map(lambda one: beam.window.TimestampedValue((one["name"], 1), int(one["id"])))
            | "minutes" >> beam.WindowInto(beam.window.FixedWindows(60))
            | "sum" >> beam.CombinePerKey(sum)
            | "line" >> beam.Map(str)
            | "write" >> beam.io.WriteToText("out")
        )
    answer = fate("in.csv:5")
    assert answer.into is not None
    assert answer.into.end.endswith("the only step behind it that gave less than it took: positive")
    assert answer.into.ended_at == ("positive",)


@pytest.mark.slow
def test_of_a_sampled_index_the_sampled_are_answered_completely() -> None:
    write_rows(rows=["id,name,value", *(f"{number},a,1" for number in range(2000))])
    with obs.Pipeline(
        "FnApiRunner", argv=["--obs_report=off", "--obs_output_index=sampled"], name="sampled"
    ) as p:
        p | "read" >> obs.ReadFromText("in.csv") | "write" >> beam.io.WriteToText("out")
    answers = [fate(f"in.csv:{line}") for line in range(1, 2001, 4)]
    complete = [one for one in answers if one.certainty.kind == COMPLETE]
    assert 0 < len(complete) < 30
    assert all(written(one) == {"write"} for one in complete)
    assert all(one.certainty.kind == SAMPLED for one in answers if one not in complete)


def test_what_was_refused_into_another_home_is_not_said_to_be_filtered() -> None:
    write_rows()
    with (
        obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="elsewhere") as p,
        obs.DeadLetters(sink=obs.JsonLines("dead")) as dead,
    ):
        (
            p
            | "read" >> obs.ReadFromCsv("in.csv")
            | "parse" >> obs.Stage(beam.Map(parse), dead_letters=dead)
            | "line" >> beam.Map(str)
            | "write" >> beam.io.WriteToText("out")
        )
    answer = fate("in.csv:4")
    assert answer.into is not None
    told = answer.into.dead_letters or "refused by parse" in answer.into.end or answer.into.written
    assert told


def test_a_damaged_output_is_one_message() -> None:
    write_rows()
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="damaged") as p:
        rows = p | "read" >> obs.ReadFromCsv("in.csv") | "row" >> beam.Map(as_row)
        rows | "write" >> obs.WriteToAvro("out", SCHEMA, file_name_suffix=".avro")
    (file,) = pathlib.Path().glob("out*.avro")
    content = file.read_bytes()
    for damaged in (content[:-30], content[:200], content.replace(b"id", b"xx"), b"Obj\x01"):
        file.write_bytes(damaged)
        with pytest.raises(obs.BeamObsError):
            why(str(file), {"id": "nothing"})


@pytest.mark.slow
def test_no_older_run_answers_for_one_that_kept_nothing() -> None:
    write_rows()
    first = run()
    assert why("text", {"id": "5"}).run.id == first  # type: ignore[union-attr]
    second = run("--obs_lineage=off")
    answer = why("sums*", {"name": "a"})
    assert answer.run is not None
    assert (answer.run.id, answer.certainty.kind) == (second, NOT_RECORDED)
    # Of Beam's own sink it is not known where the second run wrote.
    assert second in why("text", {"id": "5"}).notes[-1]
    assert why("text", {"id": "5"}, run=first).notes == ()


@pytest.mark.slow
def test_an_older_run_answers_for_a_file_that_was_put_back() -> None:
    write_rows()
    first = run()
    (file,) = pathlib.Path().glob("text*")
    content = file.read_text()
    write_rows(rows=[*ROWS[:-1], "7,d,50"])
    run()
    file.write_text(content)
    answer = why("text", {"id": "6"})
    assert answer.run is not None
    assert answer.run.id == first
    assert "has no such record" in answer.notes[-1]


def test_a_store_may_be_given_by_its_folder() -> None:
    pathlib.Path("poem.txt").write_text("rose\nviolet\n")
    options = PipelineOptions(["--obs_store=kept", "--obs_report=off"])
    with obs.Pipeline("FnApiRunner", options, name="poem") as p:
        _ = p | "read" >> beam.io.ReadFromText("poem.txt") | "write" >> beam.io.WriteToText("out")
    for store in ("kept", pathlib.Path("kept")):
        assert why("out:2", store=store).certainty.kind == COMPLETE
        assert [one.sink for one in fate("poem.txt:1", store=store).into.written] == ["write"]
        assert affected(source="poem.txt", store=store).runs
        assert [one.name for one in sources("latest", store=store).partitions] == ["poem.txt"]
    with pytest.raises(StoreNotFound, match="no store at 'elsewhere'"):
        why("out:2", store="elsewhere")
