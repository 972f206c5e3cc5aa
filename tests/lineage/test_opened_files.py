"""Files of evidence, sources and outputs: damaged, compressed, or asked for in odd ways."""

from __future__ import annotations

import io
import json
import pathlib

import fastavro
import pytest

from beam_obs.files.file_state import state_of
from beam_obs.files.file_version import file_version
from beam_obs.lineage.derivation_rows import row_spans
from beam_obs.lineage.numbered_lines import start_of_line
from beam_obs.lineage.opened_files import FileGone, below_prefix, present_version, same_file
from beam_obs.lineage.output_records import (
    NoSuchRecord,
    files_of,
    matching_records,
    only_record,
    record_at,
)
from beam_obs.records.contributors import gather
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_rows import DERIVATION_SCHEMA, derivation_row
from beam_obs.records.origin import Partition, derived_origin
from beam_obs.store.row_files import read_row_file

SCHEMA = {"type": "record", "name": "Row", "fields": [{"name": "text", "type": "string"}]}


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_blocks_are_those_that_fastavro_reads(codec: str) -> None:
    file = io.BytesIO()
    rows = [{"text": f"row {number}"} for number in range(500)]
    fastavro.writer(file, SCHEMA, rows, codec=codec, sync_interval=300, metadata={"beam_obs.step": "sum"})
    found = read_row_file("a.avro", file.getvalue())
    assert (found.step, found.rows) == ("sum", 500)
    assert len(found.blocks) > 5
    assert b"row 499" in found.blocks[-1].data


def test_of_a_file_that_is_cut_the_whole_blocks_are_read() -> None:
    file = io.BytesIO()
    fastavro.writer(file, SCHEMA, [{"text": f"row {number}"} for number in range(500)], sync_interval=300)
    content = file.getvalue()
    whole = read_row_file("a.avro", content)
    for end in (0, 3, 30, len(content) // 2, len(content) - 1):
        cut = read_row_file("a.avro", content[:end])
        assert cut.blocks == whole.blocks[: len(cut.blocks)]
        assert len(cut.blocks) < len(whole.blocks)


def test_rows_end_where_fastavro_says() -> None:
    one, other = Partition("a", "1"), Partition("b", "1", wide=True)
    rows = []
    for number in range(300):
        provenances = [one.origin(at) for at in range(number % 90)] + [other.origin(at) for at in range(2)]
        provenances += [b""] * (number % 3)
        child = derived_origin("sum", str(number).encode(), b"", 0)
        rows.append(
            derivation_row(child, "aggregate", gather(provenances, 50), "k" * number, "w" * (number % 70))
        )
    data = b"".join(rows)
    content = io.BytesIO()
    fastavro.writer(content, DERIVATION_SCHEMA, [])
    from beam_obs.store.row_files import Block

    spans = list(row_spans(Block(len(rows), data)))
    assert [data[span.start : span.end] for span in spans] == rows
    read = io.BytesIO(data)
    for span in spans:
        fields = fastavro.schemaless_reader(read, DERIVATION_SCHEMA, None)
        assert span.complete == fields["complete"]  # type: ignore[index, call-overload]


def test_a_files_version_is_that_of_the_reads() -> None:
    pathlib.Path("a.csv").write_text("1,2\n")
    path = str(pathlib.Path("a.csv").absolute())
    state = state_of(path)
    assert state is not None
    version = file_version(path, state)
    assert present_version(path, version) == version
    assert present_version(path, "5-abc") == "4 bytes"
    with pytest.raises(FileGone, match="there is no such file"):
        present_version("gone.csv", version)


def test_names_of_files_are_compared_as_far_as_they_go(tmp_path: pathlib.Path) -> None:
    assert same_file("out/a.csv", str(tmp_path / "out" / "a.csv"))
    assert not same_file("/data/a.csv", "/other/a.csv")
    assert not same_file("gs://bucket/a.csv", "a.csv")
    assert below_prefix("/data/out", "/data/out-00000-of-00002.txt")
    assert not below_prefix("/data/out", "/data/in.txt")


@pytest.mark.parametrize("number", [1, 2, 3000, 70000])
def test_lines_are_counted_as_grep_does(number: int) -> None:
    content = b"".join(b"%d\n" % line for line in range(1, 70001))
    start = start_of_line(content, number)
    assert start is not None
    assert content[start:].startswith(b"%d\n" % number)
    assert start_of_line(content, 70001) is None


def test_records_are_found_by_number_and_by_fields() -> None:
    pathlib.Path("a.jsonl").write_text(
        '{"name": "x", "n": 1}\n{"name": "y", "n": 2.5, "in": {"deep": true}}\n'
    )
    assert record_at("a.jsonl", 2).fields == {"name": "y", "n": 2.5, "in": {"deep": True}}
    for wanted in ({"name": "y"}, {"n": "2.50"}, {"in.deep": "true"}, {"name": "y", "n": "2.5"}):
        assert [one.number for one in matching_records(["a.jsonl"], wanted)] == [2]
    assert list(matching_records(["a.jsonl"], {"name": "z"})) == []
    with pytest.raises(NoSuchRecord, match="has 2 lines, and no line 3"):
        record_at("a.jsonl", 3)
    with pytest.raises(UsageError, match="several records"):
        only_record("a.jsonl")


def test_records_of_csv_have_the_names_of_its_header() -> None:
    pathlib.Path("a.csv").write_text('name,note\nx,"a, b"\ny,c\n')
    assert [one.number for one in matching_records(["a.csv"], {"note": "a, b"})] == [2]
    assert record_at("a.csv", 3).fields == {"name": "y", "note": "c"}


def test_text_has_no_fields() -> None:
    pathlib.Path("a.txt").write_text("x\n")
    with pytest.raises(UsageError, match="is text, and has no fields"):
        list(matching_records(["a.txt"], {"name": "x"}))


def test_a_prefix_names_the_shards() -> None:
    for name in ("out-1.json", "out-0.json", "other.json"):
        pathlib.Path(name).write_text(json.dumps({}))
    assert files_of("out") == ["out-0.json", "out-1.json"]
    with pytest.raises(FileGone):
        files_of("nothing")
