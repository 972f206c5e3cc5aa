"""In a woven pipeline each record that a read gives has the origin that leads back to its bytes."""

from __future__ import annotations

import json
import pathlib
import pickle
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.files.file_state import state_of
from beam_obs.files.file_version import file_version
from beam_obs.files.found_files import FoundFile
from beam_obs.io.reads.read_blocks import ReadBlock
from beam_obs.records.block_position import block_position
from beam_obs.records.origin import Partition
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.wrapper.current_origin import current_origin
from tests.io.splitting import Reading, found, read_blocks, reader_of

LINES = ["1,2", "3", '"4,5', "a long value,another long value", "", "6,é", "7,8\r"]
READS: dict[str, Any] = {
    "csv": lambda: obs.ReadFromCsv("in", stamp=True),
    "rows of lines": lambda: obs.ReadFromCsv("in", stamp=True, multiline=True),
    "text": lambda: obs.ReadFromText("in", stamp=True),
    "two bytes": lambda: obs.ReadFromText("in", stamp=True, delimiter=b"a,"),
    "json": lambda: obs.ReadFromJson("in", stamp=True),
}


def _partition(file: FoundFile, wide: bool = False) -> Partition:
    state = state_of(file.path)
    assert state is not None
    return Partition(file.name, file_version(file.path, state), wide=wide)


def _told(reader: Any, file: FoundFile, reading: Reading) -> list[tuple[Any, bytes]]:
    """Returns each record that is read with the origin that its block tells of it."""
    reader.tell_origins()
    pairs: list[tuple[Any, bytes]] = []
    for block in read_blocks(reader, file, reading):
        pairs += zip(block.records, block.origins or (), strict=True)
    return pairs


@pytest.mark.parametrize("kind", READS)
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([*LINES, '{"a": 1}', "  ", "a,a,,b"]), min_size=1, max_size=30),
    st.booleans(),
    st.integers(1, 60),
    st.lists(st.floats(0, 1), max_size=20),
    st.integers(1, 200),
)
def test_any_split_of_lines_tells_of_each_record_where_it_stands(
    kind: str, lines: list[str], ends: bool, block_bytes: int, fractions: list[float], range_bytes: int
) -> None:
    content = ("a,b\n" + "\n".join(lines) + ("\n" if ends else "")).encode()
    file = found(content, "in")
    partition = _partition(file)

    pairs = _told(reader_of(READS[kind](), block_bytes), file, Reading(range_bytes, fractions))

    for record, origin in pairs:
        position = partition.position_of(origin)
        assert position == record["_lineage"]["position"]
        assert record["_lineage"]["origin"] == origin.hex()
        delimiter = b"a," if kind == "two bytes" else b"\n"
        assert position == 0 or content[:position].endswith(delimiter)
        if kind == "text":
            assert content[position:].decode().split("\n")[0].rstrip() == record["line"].rstrip()


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(), min_size=1, max_size=200),
    st.lists(st.floats(0, 1), max_size=20),
    st.integers(1, 500),
)
def test_any_split_of_blocks_tells_of_each_record_where_it_stands(
    numbers: list[int], fractions: list[float], range_bytes: int
) -> None:
    schema = {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["long", "string"]}]}
    values = [{"n": number if abs(number) < 2**62 else str(number)} for number in numbers]
    with open("in", "wb") as out:
        fastavro.writer(out, schema, values, sync_interval=20)
    file = found(pathlib.Path("in").read_bytes(), "in")
    partition = _partition(file, wide=True)
    with open("in", "rb") as stored:
        blocks = {block.offset: list(block) for block in fastavro.block_reader(stored)}

    pairs = _told(reader_of(obs.ReadFromAvro("in", stamp=True)), file, Reading(range_bytes, fractions))

    assert len(pairs) == len(values)
    for record, origin in pairs:
        position = partition.position_of(origin, size=file.size << 24)
        assert position is not None
        assert position == record.pop("_lineage")["position"]
        place = block_position(position)
        assert blocks[place.block][place.record] == record


def test_row_groups_tell_too() -> None:
    pq.write_table(pa.table({"n": list(range(100))}), "in", row_group_size=7)
    file = found(pathlib.Path("in").read_bytes(), "in")
    partition = _partition(file, wide=True)

    pairs = _told(reader_of(obs.ReadFromParquet("in", stamp=True)), file, Reading(100, []))

    assert sorted(record["n"] for record, _ in pairs) == list(range(100))
    for record, origin in pairs:
        assert partition.position_of(origin, size=file.size << 24) == record["_lineage"]["position"]


def test_a_block_that_was_pickled_tells_its_origins_still() -> None:
    block = ReadBlock(["a"], [], 1, (b"0123456789abcdef",))

    assert pickle.loads(pickle.dumps(block)).origins == block.origins


def _note(record: Any, path: str) -> None:
    origin = current_origin()
    with open(path, "a") as file:
        file.write(json.dumps([str(record), origin.hex() if origin is not None else None]) + "\n")


def _read_woven(runner: Any, options: PipelineOptions) -> list[Any]:
    path = pathlib.Path("seen.jsonl").resolve()
    path.write_text("")
    with weaving(WeaveSettings(strict=True)):
        pipeline = beam.Pipeline(runner=runner, options=options)
        for name, read in _reads().items():
            records = pipeline | name >> read
            _ = records | f"note {name}" >> beam.Map(_note, str(path))
        pipeline.run().wait_until_finish()
    return sorted(json.loads(line) for line in path.read_text().splitlines())


def _reads() -> dict[str, Any]:
    split: Any = {"desired_bundle_size": 300}
    folder = str(pathlib.Path.cwd())
    return {
        "csv": obs.ReadFromCsv(f"{folder}/*.csv", **split),
        "text": obs.ReadFromText(f"{folder}/*.csv", **split),
        "json": obs.ReadFromJson(f"{folder}/*.jsonl.gz", **split),
        "avro": obs.ReadFromAvro(f"{folder}/*.avro", **split),
        "parquet": obs.ReadFromParquet(f"{folder}/*.parquet", **split),
        "files": obs.ReadWholeFiles(f"{folder}/*.csv"),
    }


def _write_files() -> None:
    import gzip

    for name in ("one", "two"):
        pathlib.Path(f"{name}.csv").write_text("a,b\n" + "".join(f"{name},{n}\n" for n in range(150)))
        with gzip.open(f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(f'{{"{name}": {n}}}\n' for n in range(150))
        schema = {"type": "record", "name": "N", "fields": [{"name": name, "type": "long"}]}
        with open(f"{name}.avro", "wb") as out:
            fastavro.writer(out, schema, [{name: n} for n in range(150)], sync_interval=100)
        pq.write_table(pa.table({name: list(range(150))}), f"{name}.parquet", row_group_size=40)


@pytest.mark.slow
@pytest.mark.usefixtures("processes_as_workers")
def test_origins_do_not_depend_on_who_runs_the_pipeline() -> None:
    _write_files()

    def parallel(mode: str) -> list[Any]:
        options = PipelineOptions()
        options.view_as(DirectOptions).direct_num_workers = 2
        options.view_as(DirectOptions).direct_running_mode = mode
        return _read_woven("FnApiRunner", options)

    one = _read_woven(FnApiRunner(), PipelineOptions())

    assert len({origin for _, origin in one}) == len(one) - 302, "reads of the same files share their origins"
    assert all(origin is not None for _, origin in one)
    assert parallel("multi_threading") == one
    assert parallel("multi_processing") == one
    assert _read_woven(BundleBasedDirectRunner(), PipelineOptions()) == one


def test_a_pipeline_that_is_not_woven_computes_no_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("origins were asked for")

    pathlib.Path("in.csv").write_text("a\n1\n")
    monkeypatch.setattr(Partition, "origins", fail)
    with beam.Pipeline(FnApiRunner()) as pipeline:
        _ = pipeline | obs.ReadFromCsv("in.csv")


def test_dead_letters_of_a_read_go_on_with_the_origins_of_what_was_refused() -> None:
    pathlib.Path("in.csv").write_text("a,b\n1,2\n3\n4,5\n6\n")
    seen = pathlib.Path("seen.jsonl").resolve()

    with weaving(WeaveSettings(strict=True)), beam.Pipeline(FnApiRunner()) as pipeline:
        _, letters = pipeline | obs.ReadFromCsv("in.csv").with_dead_letters()
        _ = letters | beam.Map(lambda letter: letter.origin) | beam.Map(_note, str(seen))

    found = [json.loads(line) for line in seen.read_text().splitlines()]
    assert len(found) == 2
    assert all(told == woven for told, woven in found)
