"""Records of a source go through a pipeline again, from a step on: those asked for, and no others."""

from __future__ import annotations

import gzip
import json
import pathlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow
import pyarrow.parquet
import pytest

import beam_obs as obs
import beam_obs.lineage as lineage
from beam_obs.cli.main import exit_code
from beam_obs.lineage.positions import NoSuchPlace
from beam_obs.records.errors import BeamObsError, UsageError
from beam_obs.replay.letter_choice import AskedReplay, choose_letters
from beam_obs.replay.replay import Planned, WouldReplaceFiles
from beam_obs.replay.source_choice import SourceChanged, choose_records
from beam_obs.replay.source_cut import NeverEnds, NotBehind, OfAPart
from beam_obs.replay.source_replay import SourceReplay
from beam_obs.replay.under_way import replaying
from beam_obs.runs.instrument import instrument
from beam_obs.store.letter_states import LetterStates
from beam_obs.store.run_record import RunRecord
from beam_obs.store.unknown_name import UnknownName
from beam_obs.web.pages.run_page import run_page
from beam_obs.web.stored_runs import StoredRuns
from tests import programs
from tests.written_runs import ago, write_run

Read = Callable[[], beam.PTransform]


def run(build: Callable[[Any], object], *options: str) -> RunRecord:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off", *options], name="cities") as p:
        build(p)
    return obs.Store().find("latest")


def replay(
    build: Callable[[Any], object], step: str, *sources: str, parent: str = "latest", **how: bool
) -> RunRecord:
    store = obs.Store()
    under_way = SourceReplay(store, choose_records(store, store.find(parent), sources), step, **how)
    with instrument(under_way.pipeline, store), replaying(under_way):
        record = run(build)
    assert under_way.run == record.id
    return record


def texts(prefix: str = "again") -> list[str]:
    return sorted(
        line for file in pathlib.Path().glob(f"{prefix}-0*") for line in file.read_text().splitlines()
    )


def cities(read: Read, output: str) -> Callable[[Any], object]:
    def build(p: Any) -> None:
        rows = p | "read" >> read()
        names = rows | "name" >> beam.Map(lambda row: row["city"] if isinstance(row, dict) else str(row))
        _ = names | "aside" >> beam.io.WriteToText(f"{output}-aside")
        loud = names | "loud" >> beam.Map(str.upper)
        _ = loud | "write" >> beam.io.WriteToText(output, num_shards=1)

    return build


NAMES = [f"city {number}" for number in range(2, 12)]
"""What stands in the lines 2 to 11."""


def write_text(path: str) -> None:
    content = "\n".join(["city", *NAMES, ""])
    pathlib.Path(path).write_text(content)
    pathlib.Path(f"{path}.gz").write_bytes(gzip.compress(content.encode()))


def write_avro(path: str) -> None:
    schema = {"type": "record", "name": "City", "fields": [{"name": "city", "type": "string"}]}
    with open(path, "wb") as file:
        fastavro.writer(file, schema, [{"city": name} for name in ["city 1", *NAMES]], sync_interval=30)


def write_parquet(path: str) -> None:
    table = pyarrow.table({"city": ["city 1", *NAMES]})
    pyarrow.parquet.write_table(table, path, row_group_size=4)


@pytest.mark.parametrize(
    ("file", "make", "read"),
    [
        ("c.csv", write_text, lambda: obs.ReadFromCsv("c.csv")),
        ("c.csv", write_text, lambda: obs.ReadFromCsv("c.csv", min_bundle_size=0, desired_bundle_size=16)),
        ("c.csv.gz", lambda path: write_text("c.csv"), lambda: obs.ReadFromCsv("c.csv.gz")),
        ("c.csv", write_text, lambda: beam.io.ReadFromText("?.csv", skip_header_lines=1)),
        ("c.avro", write_avro, lambda: obs.ReadFromAvro("c.avro")),
        ("c.avro", write_avro, lambda: beam.io.ReadFromAvro("c.avro")),
        ("c.parquet", write_parquet, lambda: obs.ReadFromParquet("c.parquet")),
    ],
    ids=["csv", "csv in ranges", "gzip", "Beam's text", "Avro", "Beam's Avro", "Parquet"],
)
@pytest.mark.slow
def test_what_is_asked_for_comes_again_and_no_more(file: str, make: Any, read: Read) -> None:
    make(file)
    first = run(cities(read, "out"))
    record = replay(cities(read, "again"), "loud", f"{file}:3-5,9")
    assert texts() == ["CITY 3", "CITY 4", "CITY 5", "CITY 9"]
    assert texts("again-aside") == []
    assert (record.status, record.start["parent_run"]) == ("done", first.id)
    assert record.end is not None
    assert record.end["balance"]["holds"]
    (source,) = lineage.why("again-00000-of-00001:1").made_of
    (before,) = lineage.why("out-00000-of-00001", {}, record=b"CITY 3", run=first.id).made_of
    assert isinstance(source, lineage.FromSource)
    assert source.record.text is not None
    assert isinstance(before, lineage.FromSource)
    number = int(texts()[0][-1])
    assert source.record.text.endswith(f"{number}") or str(number) in source.record.text
    assert source.origin == before.origin


def test_a_read_of_ours_reads_no_more_of_its_files_than_it_must(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in "ab":
        write_text(f"{name}.csv")
    build = cities(lambda: obs.ReadFromCsv("*.csv", desired_bundle_size=16), "out")
    first = run(build)
    record = replay(build, "write", "b.csv:10-", may_replace=True)
    told = f"replay of run {first.id[:13]}: records of b.csv, from 'write' on"
    assert exit_code(["show", record.id]) == 0
    assert told in capsys.readouterr().out
    page = run_page(StoredRuns(obs.Store()), record.id).values
    assert (page["parent"], page["replay"]) == (first.id, told)
    (partition,) = lineage.sources(record.id).partitions
    assert (partition.name, partition.records) == ("b.csv", 2)
    assert record.end is not None
    (read,) = (stage for stage in record.end["stages"] if stage["label"] == "read")
    assert (read["in"], read["out"]) == (2, 2)
    assert texts("out") == ["CITY 10", "CITY 11"]


@pytest.mark.slow
def test_all_of_a_file_and_an_origin_can_be_asked_for() -> None:
    write_text("c.csv")
    build = cities(lambda: obs.ReadFromCsv("c.csv"), "again")
    first = run(build)
    fate = lineage.fate("c.csv:7")
    assert fate.into is not None
    replay(build, "read", fate.into.origin.hex(), f"c.csv@{fate.position}", may_replace=True)
    assert texts() == ["CITY 7"]
    replay(build, "read", "c.csv", parent=first.id, may_replace=True)
    assert len(texts()) == len(NAMES)


def test_what_the_read_refused_is_refused_again_where_it_is_asked_for() -> None:
    pathlib.Path("c.csv").write_text("city,people\nrome,3\nparis,x,y\noslo,1\nbern,z,z\n")
    build = cities(lambda: obs.ReadFromCsv("c.csv"), "again")
    first = run(build)
    assert first.refused == 2
    record = replay(build, "name", "c.csv:3-4", may_replace=True)
    assert (record.refused, texts()) == (1, ["OSLO"])
    assert record.end is not None
    assert record.end["balance"]["holds"]
    (letter,) = obs.read_dead_letters(record.id)
    assert letter.key in {one.key for one in obs.read_dead_letters(first.id)}


def test_a_stage_between_keeps_what_it_refuses() -> None:
    write_text("c.csv")

    def build(p: Any) -> None:
        rows = p | "read" >> obs.ReadFromCsv("c.csv")
        checked = rows | "check" >> obs.Stage(beam.Map(lambda row: 1 // (row["city"] != "city 4")))
        _ = checked | "write" >> beam.io.WriteToText("again", num_shards=1)

    run(build)
    record = replay(build, "write", "c.csv:3-4", may_replace=True)
    assert record.status_text == "done, 1 dead"
    assert [letter.stage for letter in obs.read_dead_letters(record.id)] == ["check"]
    assert texts() == ["1"]


def sums(p: Any) -> None:
    rows = p | "read" >> obs.ReadFromCsv("c.csv")
    pairs = rows | "pair" >> beam.Map(lambda row: (row["city"][0], 1))
    total = pairs | "sum" >> beam.CombinePerKey(sum)
    told = total | "tell" >> beam.MapTuple(lambda key, count: f"{key} {count}")
    _ = told | "write" >> beam.io.WriteToText("again", num_shards=1)


def sides(p: Any) -> None:
    rows = p | "read" >> obs.ReadFromCsv("c.csv")
    all_ = beam.pvalue.AsList(rows)
    told = rows | "beside" >> beam.Map(lambda row, all_rows: f"{row['city']} {len(all_rows)}", all_)
    _ = told | "write" >> beam.io.WriteToText("again", num_shards=1)


class Once(beam.DoFn):
    SEEN = beam.transforms.userstate.ReadModifyWriteStateSpec("seen", beam.coders.BooleanCoder())

    def process(self, pair: Any, seen: Any = beam.DoFn.StateParam(SEEN)) -> Any:  # noqa: B008
        if not seen.read():
            seen.write(True)
            yield str(pair)


def states(p: Any) -> None:
    rows = p | "read" >> obs.ReadFromCsv("c.csv")
    pairs = rows | "pair" >> beam.Map(lambda row: (row["city"][0], 1))
    _ = pairs | "once" >> beam.ParDo(Once()) | "write" >> beam.io.WriteToText("again", num_shards=1)


@pytest.mark.parametrize(
    ("build", "step", "message", "made"),
    [
        (sums, "pair", "the results of 'sum' would be of the replayed records alone", ["c 2"]),
        (sums, "tell", "the results of 'sum', which 'tell' is behind, would be of the replayed", ["c 2"]),
        (sides, "beside", "the side inputs of 'beside' would be of", ["city 3 2", "city 4 2"]),
        (states, "pair", "the results of 'once' would be of", ["('c', 1)"]),
    ],
)
def test_results_of_a_part_are_refused_unless_they_are_wanted(
    build: Callable[[Any], object], step: str, message: str, made: list[str]
) -> None:
    write_text("c.csv")
    run(build)
    with pytest.raises(OfAPart, match=message):
        replay(build, step, "c.csv:3-4", may_replace=True)
    replay(build, step, "c.csv:3-4", may_replace=True, may_be_partial=True)
    assert texts() == made


def test_side_inputs_from_elsewhere_and_other_branches_of_a_flatten() -> None:
    write_text("c.csv")

    def build(p: Any) -> None:
        rows = p | "read" >> obs.ReadFromCsv("c.csv") | "name" >> beam.Map(lambda row: row["city"])
        others = p | "others" >> beam.Create(["x", "y"])
        both = (rows, others) | "both" >> beam.Flatten()
        told = both | "tell" >> beam.Map(lambda name, all_: f"{name} {len(all_)}", beam.pvalue.AsList(others))
        _ = told | "write" >> beam.io.WriteToText("again", num_shards=1)

    run(build)
    # What is made for a side input does not come by the main one.
    replay(build, "tell", "c.csv:3", may_replace=True)
    assert texts() == ["city 3 2"]


def test_a_plan_says_what_would_be_done_and_does_nothing() -> None:
    write_text("c.csv")
    run(sums)
    with pytest.raises(Planned) as planned:
        replay(sums, "pair", "c.csv:3-4", may_replace=True, may_be_partial=True, only_planned=True)
    assert planned.value.plan.cut.aggregates == ("sum",)
    assert obs.Store().count() == 1


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("c.csv:12", NoSuchPlace, "has 11 lines, and no line 12"),
        ("c.csv:3-400", NoSuchPlace, "has 11 lines, and no line 400"),
        ("c.csv:0", UsageError, "counted from 1"),
        ("c.csv:5-3", UsageError, "5-3 ends before it begins"),
        ("c.csv:5..7", UsageError, "give lines as 7, 100-200, 100-"),
        ("c.csv:all", UsageError, "give lines as 7, 100-200, 100-"),
        ("c.csv:", UsageError, "give lines as 7"),
        ("d.csv:5", UnknownName, "read no file 'd.csv:5'"),
        ("00000000000000000000000000000007", BeamObsError, "is an aggregate"),
        ("12300000000000000000000000000007", BeamObsError, "knows no source of the origin"),
    ],
)
def test_what_is_not_there_is_not_asked_for(source: str, error: type[Exception], message: str) -> None:
    write_text("c.csv")
    run(cities(lambda: obs.ReadFromCsv("c.csv"), "out"))
    with pytest.raises(error, match=message):
        choose_records(obs.Store(), obs.Store().find("latest"), [source])


def test_a_file_that_was_changed_since_is_not_read() -> None:
    write_text("c.csv")
    record = run(cities(lambda: obs.ReadFromCsv("c.csv"), "out"))
    pathlib.Path("c.csv").write_text("city\nrome\n")
    with pytest.raises(SourceChanged, match=f"is not the file that run {record.id} read"):
        choose_records(obs.Store(), record, ["c.csv:2"])


def test_steps_that_cannot_be_the_first_are_told() -> None:
    write_text("c.csv")
    build = cities(lambda: obs.ReadFromCsv("c.csv"), "out")

    def other(p: Any) -> None:
        build(p)
        _ = p | "other" >> beam.Create([1]) | "elsewhere" >> beam.Map(str)

    first = run(other)
    with pytest.raises(NotBehind, match="no record of 'read' comes to 'elsewhere'"):
        replay(other, "elsewhere", "c.csv:3")
    with pytest.raises(WouldReplaceFiles, match="would write to out"):
        replay(cities_of_ours, "write", "c.csv:3", parent=run(cities_of_ours).id)
    with pytest.raises(UsageError, match="leave out --obs_lineage=off"), replaying(_of(first, "loud")):
        run(other, "--obs_lineage=off")

    def renamed(p: Any) -> None:
        _ = p | "reading" >> obs.ReadFromCsv("c.csv") | "loud" >> beam.Map(str)

    with pytest.raises(UnknownName, match="no step that read them in that run, of the name 'read'"):
        replay(renamed, "loud", "c.csv:3", parent=first.id)

    def endless(p: Any) -> None:
        ticks = p | "read" >> beam.transforms.periodicsequence.PeriodicImpulse()
        _ = ticks | "loud" >> beam.Map(str)

    with pytest.raises(NeverEnds, match="'read' never ends"):
        replay(endless, "loud", "c.csv:3", parent=first.id)


def cities_of_ours(p: Any) -> None:
    _ = p | "read" >> obs.ReadFromCsv("c.csv") | "write" >> obs.WriteToJson("out")


def _of(record: RunRecord, step: str) -> SourceReplay:
    store = obs.Store()
    return SourceReplay(store, choose_records(store, record, ["c.csv:3"]), step)


@pytest.mark.parametrize(
    ("told", "are_of_another"), [({"letters": 1}, True), ({"records": [{"name": "c"}]}, False)]
)
def test_what_a_replay_of_records_refused_is_its_own(told: Any, are_of_another: bool) -> None:
    parent = write_run(pathlib.Path(".beam_obs"), "cities", ago(days=2))
    start = {"parent_run": parent, "replay": told}
    write_run(pathlib.Path(".beam_obs"), "cities", ago(days=1), status="failed", start=start)
    store = obs.Store()
    record = store.find("latest")
    with (
        pytest.raises(BeamObsError, match="the dead letters that it took")
        if are_of_another
        else nullcontext()
    ):
        assert not choose_letters(store, record, AskedReplay(), LetterStates(store, record)).letters


PROGRAM = """
import sys
import apache_beam as beam
import beam_obs as obs

with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="cities") as p:
    rows = p | "read" >> obs.ReadFromCsv("c.csv")
    names = rows | "name" >> beam.Map(lambda row: {"name": row["city"]})
    _ = names | "write" >> obs.WriteToJson(sys.argv[1], ".jsonl", num_shards=1)
"""


@pytest.mark.slow
def test_the_command_says_what_it_did() -> None:
    write_text("c.csv")
    pathlib.Path("program.py").write_text(PROGRAM)
    assert programs.run(["program.py", "out"]).returncode == 0
    command = ["-m", "beam_obs.cli", "replay", "cities@latest", "--program=program.py", "--json"]
    done = programs.run([*command, "--from=name", "--source=c.csv:3-4", "--", "again"])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["records"], told["refused"]) == ("done", 2, 0)
    assert [json.loads(line)["name"] for line in texts()] == ["city 3", "city 4"]
    # A header is no record.
    done = programs.run([*command, "--from=name", "--source=c.csv:1", "--", "again2"])
    assert (done.returncode, json.loads(done.stdout)["records"]) == (1, 0)
    assert "no record begins in c.csv:1" in done.stderr
    done = programs.run([*command, "--from=nam", "--source=c.csv:3", "--", "again3"])
    assert (done.returncode, "has a step 'nam'" in done.stderr, "  name" in done.stderr) == (1, True, True)
