"""Beam's own reads of files are woven with the place of each record, and read what they read bare."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow
import pyarrow.parquet
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs.records.block_position import block_position
from beam_obs.records.origin import Partition, find_partition
from beam_obs.wrapper.current_origin import current_origin

RUNNERS = {
    "one worker": ("FnApiRunner", []),
    "threads": ("FnApiRunner", ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]),
    "bundles": ("BundleBasedDirectRunner", []),
}
LINES = [f"line {number} " + "x" * (number % 7) for number in range(500)]


class KeepWithOrigin(beam.DoFn):
    """Writes each record down with its origin; threads share the list, processes would not."""

    def process(self, record: Any) -> None:
        origin = current_origin()
        KEPT.append((record, origin))


KEPT: list[tuple[Any, bytes | None]] = []


def read(folder: Path, transform: Any, runner: str = "one worker") -> list[tuple[Any, bytes | None]]:
    """Returns the records of a read with their origins."""
    KEPT.clear()
    name, options = RUNNERS[runner]
    asked = [f"--obs_store={folder}/store", "--obs_lineage=strict", "--obs_report=off", *options]
    with obs.Pipeline(name, PipelineOptions(asked), name="read") as p:
        p | "read" >> transform | beam.ParDo(KeepWithOrigin())
    return list(KEPT)


def partitions(folder: Path) -> dict[str, Partition]:
    """Returns the partitions that the run has noted, by path."""
    from beam_obs.store.evidence import read_evidence

    store = obs.Store(f"{folder}/store")
    manifests = read_evidence(store, store.find("latest").folder).of_kind("inputs")
    return {
        one.details["path"]: Partition(
            one.details["name"], one.details["version"], wide=one.details["positions"] == "blocks"
        )
        for one in manifests
    }


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_line_of_text_has_its_byte_offset(tmp_path: Path, runner: str) -> None:
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    (tmp_path / "b.txt").write_text("header\r\nother\r\n")
    found = read(tmp_path, beam.io.ReadFromText(f"{tmp_path}/*.txt"), runner)
    assert sorted(record for record, _ in found) == sorted([*LINES, "header", "other"])
    known = partitions(tmp_path)
    paths = {partition: path for path, partition in known.items()}
    for record, origin in found:
        assert origin is not None
        place = find_partition(origin, known.values())
        assert place is not None
        assert Path(paths[place[0]]).read_bytes()[place[1] :].splitlines()[0].decode() == record


def test_origins_do_not_depend_on_the_runner_or_on_where_a_file_is_split(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(LINES))
    whole = beam.io.ReadFromText(f"{tmp_path}/a.txt", min_bundle_size=10_000_000)
    expected = sorted(read(tmp_path, whole))
    for runner in RUNNERS:
        assert sorted(read(tmp_path, beam.io.ReadFromText(f"{tmp_path}/a.txt"), runner)) == expected


def test_a_line_of_a_compressed_file_has_its_offset_in_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress("\n".join(LINES).encode()))
    found = read(tmp_path, beam.io.ReadFromText(f"{tmp_path}/a.txt.gz"))
    assert [record for record, _ in found] == LINES
    (partition,) = partitions(tmp_path).values()
    content = gzip.decompress((tmp_path / "a.txt.gz").read_bytes())
    for record, origin in found:
        position = partition.position_of(origin or b"")
        assert position is not None
        assert content[position:].splitlines()[0].decode() == record


def test_lines_with_the_names_of_their_files_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    found = read(tmp_path, beam.io.ReadFromTextWithFilename(f"{tmp_path}/a.txt"))
    (partition,) = partitions(tmp_path).values()
    assert [(record[1], partition.position_of(origin or b"")) for record, origin in found] == [
        ("one", 0),
        ("two", 4),
    ]


def test_lines_of_files_whose_names_come_with_a_pcollection_have_their_places(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    names = beam.Create([f"{tmp_path}/a.txt"])
    found = read(tmp_path, _Chain(names, beam.io.ReadAllFromText(with_filename=True)))
    (partition,) = partitions(tmp_path).values()
    assert sorted((record[1], partition.position_of(origin or b"")) for record, origin in found) == [
        ("one", 0),
        ("two", 4),
    ]


class _Chain(beam.PTransform):
    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self._first, self._second = first, second

    def expand(self, pbegin: Any) -> Any:
        return pbegin | self._first | self._second


def test_an_avro_record_has_its_block_and_its_place_in_it(tmp_path: Path) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "n", "type": "long"}]}
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, schema, [{"n": number} for number in range(3000)], sync_interval=500)
    found = read(tmp_path, beam.io.ReadFromAvro(f"{tmp_path}/a.avro"))
    (partition,) = partitions(tmp_path).values()
    with (tmp_path / "a.avro").open("rb") as file:
        blocks = {block.offset: list(block) for block in fastavro.block_reader(file)}
    assert len(blocks) > 5
    assert sorted(record["n"] for record, _ in found) == list(range(3000))
    for record, origin in found:
        position = partition.position_of(origin or b"", (tmp_path / "a.avro").stat().st_size << 24)
        assert position is not None
        place = block_position(position)
        assert blocks[place.block][place.record] == record


def test_the_records_of_a_parquet_row_group_have_the_origin_of_their_group(tmp_path: Path) -> None:
    table = pyarrow.table({"n": list(range(100))})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=40)
    found = read(tmp_path, beam.io.ReadFromParquet(f"{tmp_path}/a.parquet"))
    groups: dict[bytes | None, list[int]] = {}
    for record, origin in found:
        groups.setdefault(origin, []).append(record["n"])
    assert sorted(map(len, groups.values())) == [20, 40, 40]
    (partition,) = partitions(tmp_path).values()
    assert all(partition.verifies(origin or b"", 1 << 50) for origin in groups)


class Numbers(beam.io.filebasedsource.FileBasedSource):
    """A source of somebody else's that cannot be split and claims nothing."""

    def __init__(self, pattern: str) -> None:
        super().__init__(pattern, splittable=False)

    def read_records(self, file_name: str, range_tracker: Any) -> Any:
        with self.open_file(file_name) as file:
            yield from map(int, file.read().split())


def test_the_records_of_somebody_elses_source_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("7 8 9")
    found = read(tmp_path, beam.io.Read(Numbers(f"{tmp_path}/a.txt")))
    (partition,) = partitions(tmp_path).values()
    assert [(record, partition.position_of(origin or b"")) for record, origin in found] == [
        (7, 0),
        (8, 1),
        (9, 2),
    ]


def test_a_run_names_what_beams_own_reads_and_writes_read_and_wrote(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    asked = [f"--obs_store={tmp_path}/store", "--obs_report=off"]
    with obs.Pipeline("FnApiRunner", PipelineOptions(asked), name="read") as p:
        _ = (
            p
            | "read" >> beam.io.ReadFromText(f"{tmp_path}/*.txt")
            | "write" >> beam.io.WriteToText(f"{tmp_path}/out")
        )
    end = obs.Store(f"{tmp_path}/store").find("latest").end or {}
    ((of_input,), (of_output,)) = (end["inputs"], end["outputs"])
    assert (of_input["name"], of_input["uri"], of_input["records"]) == ("read", f"{tmp_path}/*.txt", 2)
    assert [file["path"] for file in of_input["files"]] == [f"{tmp_path}/a.txt"]
    assert (of_output["name"], of_output["uri"]) == ("write", f"{tmp_path}/out")
