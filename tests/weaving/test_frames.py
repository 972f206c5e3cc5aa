"""Beam's reads and writes by pandas and its DataFrame API: records have the origin of their file, or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue

pytest.importorskip("pandas")

from apache_beam.dataframe.convert import to_dataframe, to_pcollection
from apache_beam.dataframe.io import read_csv

import beam_obs as obs
from beam_obs import lineage
from beam_obs.records.weave_report import NotWoven
from beam_obs.testing import assert_balanced

FILES = {"a": "one.csv", "b": "one.csv", "c": "two.csv", "d": "two.csv", "e": "two.csv"}


class Person(NamedTuple):
    id: int
    name: str
    age: float


beam.coders.registry.register_coder(Person, beam.coders.RowCoder)


def people(folder: Path) -> str:
    """Writes two files of people; returns their pattern."""
    (folder / "one.csv").write_text("name,age,town\na,20.5,x\nb,30,y\n")
    (folder / "two.csv").write_text("name,age,town\nc,40,x\nd,50,z\ne,1,z\n")
    return str(folder / "*.csv")


def run(folder: Path, build: Any, runner: str = "FnApiRunner") -> Any:
    """Runs what `build` makes of a pipeline, where all has to be woven; returns the run's record."""
    options = PipelineOptions([f"--obs_store={folder / 'store'}", "--obs_report=off", "--obs_lineage=strict"])
    with obs.Pipeline(runner, options, name="people") as p:
        build(p)
    return obs.Store(str(folder / "store")).find("latest")


def sources_of(folder: Path, output: str) -> list[tuple[str, str]]:
    """Returns the files, and how sure it is, that an output was made of."""
    answer = lineage.why(str(folder / output), store=obs.Store(str(folder / "store")), all_contributors=True)
    (made_of,) = answer.made_of
    found = [made_of] if isinstance(made_of, lineage.FromSource) else list(made_of.contributors)
    assert all(isinstance(one, lineage.FromSource) for one in found)
    return [(Path(str(one.partition.uri)).name, one.record.state) for one in found]  # type: ignore[union-attr]


def test_rows_have_the_file_that_they_were_read_of_and_lead_back_to_it_from_each_write(
    tmp_path: Path,
) -> None:
    def build(p: Any) -> None:
        rows = p | "read" >> beam.io.ReadFromCsv(people(tmp_path))
        _ = rows | "csv" >> beam.io.WriteToCsv(str(tmp_path / "out-csv"), num_shards=1)
        _ = rows | "json" >> beam.io.WriteToJson(str(tmp_path / "out-json"), num_shards=1)
        names = rows | beam.Map(lambda row: row.name)
        _ = names | "text" >> beam.io.WriteToText(str(tmp_path / "out-text"))

    record = run(tmp_path, build)

    names = {
        "out-csv": lambda line: line.split(",")[0],
        "out-json": lambda line: json.loads(line)["name"],
        "out-text": str,
    }
    for output, name_of in names.items():
        path = f"{output}-00000-of-00001"
        lines = [line for line in (tmp_path / path).read_text().splitlines() if line != "name,age,town"]
        header = output == "out-csv"
        assert sorted(map(name_of, lines)) == sorted(FILES)
        for number, line in enumerate(lines, 2 if header else 1):
            assert sources_of(tmp_path, f"{path}:{number}") == [(FILES[name_of(line)], lineage.VERIFIED)]
    (read,) = record.end["inputs"]
    assert (read["label"], read["records"]) == ("read", 5)
    assert {Path(file["path"]).name for file in read["files"]} == {"one.csv", "two.csv"}
    uris = {output["label"]: output["uri"] for output in record.end["outputs"]}
    assert uris["csv"] == str(tmp_path / "out-csv")
    assert uris["json"] == str(tmp_path / "out-json")


def test_frames_have_their_file_on_a_runner_that_reads_files_in_one_go(tmp_path: Path) -> None:
    def build(p: Any) -> None:
        frames = to_pcollection(p | "read" >> read_csv(people(tmp_path)), yield_elements="pandas")
        names = frames | beam.FlatMap(lambda frame: list(frame.name))
        _ = names | beam.io.WriteToText(str(tmp_path / "names"), shard_name_template="")

    run(tmp_path, build, "BundleBasedDirectRunner")

    names = (tmp_path / "names").read_text().splitlines()
    assert sorted(names) == sorted(FILES)
    for number, name in enumerate(names, 1):
        assert sources_of(tmp_path, f"names:{number}") == [(FILES[name], lineage.VERIFIED)]


def test_what_became_of_a_line_is_told_of_its_file(tmp_path: Path) -> None:
    run(
        tmp_path,
        lambda p: (
            p
            | beam.io.ReadFromCsv(people(tmp_path))
            | beam.Filter(lambda row: row.age > 25)
            | beam.io.WriteToCsv(str(tmp_path / "out"))
        ),
    )
    answer = lineage.fate(f"{tmp_path / 'one.csv'}:3", store=obs.Store(str(tmp_path / "store")))
    assert answer.into is not None
    assert [written.sink for written in answer.into.written] == ["WriteToCsv"]
    assert len(answer.into.written[0].digests) == 1
    assert answer.notes == (
        "the read keeps the file of a record, not its line: this is about all of the file",
    )


def test_frames_that_are_worked_on_lead_back_to_their_files(tmp_path: Path) -> None:
    def build(p: Any) -> None:
        frame = p | "read" >> read_csv(people(tmp_path))
        frame[["town", "age"]].groupby("town").sum().to_csv(str(tmp_path / "sums"))

    run(tmp_path, build)

    (path,) = tmp_path.glob("sums-*")
    found = {}
    for number, line in enumerate(path.read_text().splitlines()[1:], 2):
        found[line.split(",")[0]] = {file for file, _ in sources_of(tmp_path, f"{path.name}:{number}")}
    assert found["x"] == {"one.csv", "two.csv"}
    assert "two.csv" in found["z"]


@pytest.mark.slow
def test_results_are_the_same_woven_as_bare(tmp_path: Path) -> None:
    pattern = people(tmp_path)

    def build(p: Any, name: str) -> None:
        frame = p | "read" >> read_csv(pattern, splittable=True)
        frame["double"] = frame.age * 2
        rows = to_pcollection(frame.set_index("name")[["age", "double"]], include_indexes=True, label="rows")
        _ = rows | beam.Map(str) | beam.io.WriteToText(str(tmp_path / name), shard_name_template="")

    with beam.Pipeline("FnApiRunner") as p:
        build(p, "bare")
    run(tmp_path, lambda p: build(p, "woven"))

    bare, woven = ((tmp_path / name).read_text().splitlines() for name in ("bare", "woven"))
    assert sorted(woven) == sorted(bare)
    assert len(bare) == 5


def test_rows_that_become_frames_lead_back_from_each_line_that_is_written(tmp_path: Path) -> None:
    source = tmp_path / "numbers.txt"
    source.write_text("".join(f"{number}\n" for number in range(1, 8)))

    def build(p: Any) -> None:
        rows = p | obs.ReadFromText(str(source)) | beam.Map(_person).with_output_types(Person)
        _ = rows | "csv" >> beam.io.WriteToCsv(str(tmp_path / "out"), num_shards=1)
        timed = rows | beam.Map(lambda row: TimestampedValue(row, row.id)).with_output_types(Person)
        windowed = timed | beam.WindowInto(FixedWindows(100))
        _ = windowed | "windowed" >> beam.io.WriteToJson(str(tmp_path / "windowed"), num_shards=1)

    run(tmp_path, build)

    for prefix, first in (("out", 2), ("windowed", 1)):
        (path,) = tmp_path.glob(f"{prefix}-*")
        for number, line in enumerate(path.read_text().splitlines()[first - 1 :], first):
            answer = lineage.why(f"{path}:{number}", store=obs.Store(str(tmp_path / "store")))
            (made_of,) = answer.made_of
            assert isinstance(made_of, lineage.FromSource)
            assert f"is {made_of.record.text}" in line


def _person(line: str) -> Person:
    return Person(int(line), f'"x", is {line}', int(line) / 4)


def test_a_write_of_which_the_records_are_not_known_is_opaque_and_refused_where_it_is_strict(
    tmp_path: Path,
) -> None:
    def build(p: Any) -> None:
        rows = p | beam.Create([Person(1, "a", 2.0)]).with_output_types(Person)
        to_dataframe(rows, label="frame").to_json(str(tmp_path / "out"), orient="columns")

    with pytest.raises(NotWoven, match="to_json of pandas makes of a record is not known"):
        run(tmp_path, build)


def test_a_sink_that_a_stage_or_a_dataset_is_named_for_is_found_by_its_files(tmp_path: Path) -> None:
    stage = obs.Stage(beam.io.WriteToCsv(str(tmp_path / "stage"), num_shards=1))

    def build(p: Any) -> None:
        rows = p | "read" >> obs.Source(beam.io.ReadFromCsv(people(tmp_path)))
        _ = rows | "staged" >> stage
        _ = rows | "sink" >> obs.Sink(beam.io.WriteToJson(str(tmp_path / "sink"), num_shards=1))

    run(tmp_path, build)

    assert [reason for _, reason in stage.unguarded] == ["records that pandas writes cannot be tried first"]
    assert_balanced(obs.Store(str(tmp_path / "store")))
    for path, first in (("stage-00000-of-00001", 2), ("sink-00000-of-00001", 1)):
        line = (tmp_path / path).read_text().splitlines()[first - 1]
        file = "one.csv" if any(f"{name}," in line or f'"{name}"' in line for name in "ab") else "two.csv"
        assert sources_of(tmp_path, f"{path}:{first}") == [(file, lineage.VERIFIED)]


def test_what_went_into_an_opaque_write_is_said_to_be_unknown(tmp_path: Path) -> None:
    options = PipelineOptions([f"--obs_store={tmp_path / 'store'}", "--obs_report=off"])
    with obs.Pipeline("FnApiRunner", options, name="people") as p:
        frame = p | "read" >> read_csv(people(tmp_path))
        frame.to_json(str(tmp_path / "out"), orient="columns", num_shards=1)

    store = obs.Store(str(tmp_path / "store"))
    reason = "_WriteToPandas - what to_json of pandas makes of a record is not known"
    fate = lineage.fate(f"{tmp_path / 'one.csv'}:2", store=store)
    assert fate.certainty.kind == lineage.NOT_RECORDED
    assert reason in fate.certainty.reason
    why = lineage.why(f"{tmp_path / 'out'}-00000-of-00001:1", store=store)
    assert (why.certainty.kind, why.made_of) == (lineage.NOT_RECORDED, ())
    assert why.certainty.reason == f"the sink is opaque: {reason}"
