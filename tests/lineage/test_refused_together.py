"""Lines and rows that a read refused together with others, or that stand beside refused ones."""

from __future__ import annotations

import gzip
import pathlib
from typing import Any

import apache_beam as beam
import fastavro
import pytest

import beam_obs as obs
from beam_obs.lineage import COMPLETE, NOT_RECORDED, VERIFIED, Fate, fate

FIELDS = [{"name": "id", "type": "int"}, {"name": "name", "type": "string"}]
SCHEMA: dict[str, Any] = {"type": "record", "name": "Row", "fields": FIELDS}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(read: Any) -> None:
    """Reads, filters what has an odd id, and writes the rest."""
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="evens") as p:
        (
            p
            | "read" >> read
            | "even" >> beam.Filter(lambda record: int(record["id"]) % 2 == 0)
            | "write" >> obs.WriteToJson("out")
        )


def refusal(answer: Fate) -> str:
    """Returns the class of the error by which an answer says that the record was refused."""
    assert answer.into is not None
    assert not answer.into.end
    (letter,) = answer.into.dead_letters
    return letter.error_type.removeprefix("beam_obs.")


def is_filtered(answer: Fate) -> bool:
    assert answer.certainty.kind == COMPLETE
    return answer.into is not None and answer.into.end.startswith("filtered")


def test_a_quote_that_is_not_closed_has_no_part_in_the_fate_of_later_lines() -> None:
    rows = ["id,text", "0,a", '2,"b', "3,c", "4,d", "5,e"]
    pathlib.Path("in.csv").write_text("".join(f"{row}\n" for row in rows))
    run(obs.ReadFromCsv("in.csv"))
    assert refusal(fate("in.csv:3")) == "TornRow"
    answer = fate("in.csv:4")
    assert is_filtered(answer)
    assert answer.record is not None
    assert (answer.record.line, answer.record.text) == (4, "3,c")
    assert not answer.notes


def test_a_quote_within_a_field_does_not_lend_its_fate_to_later_lines() -> None:
    pathlib.Path("in.csv").write_text('id,size\n0,5" disk\n1,7\n2,8\n')
    run(obs.ReadFromCsv("in.csv"))
    assert is_filtered(fate("in.csv:3"))
    first = fate("in.csv:2")
    assert first.record is not None
    assert first.record.text == '0,5" disk'


@pytest.mark.parametrize("multiline", [False, True])
def test_the_header_of_a_file_with_quotes_was_not_filtered(multiline: bool) -> None:
    pathlib.Path("in.csv").write_text('id,text\n0,"a"\n1,b\n')
    run(obs.ReadFromCsv("in.csv", multiline=multiline))
    answer = fate("in.csv:1")
    assert any("the file's header" in note for note in answer.notes)


@pytest.mark.parametrize("second", ['2,"b', '2,5" disk'])
def test_where_rows_may_take_several_lines_a_quote_proves_nothing_about_later_lines(second: str) -> None:
    pathlib.Path("in.csv").write_text(f'id,text\n0,a\n{second}\n3,c\n4,"d\ne"\n')
    run(obs.ReadFromCsv("in.csv", multiline=True))
    for line in (4, 6):
        answer = fate(f"in.csv:{line}")
        assert answer.certainty.kind == NOT_RECORDED
        assert answer.into is not None
        assert not answer.into.written
        assert not answer.into.dead_letters
    own = fate("in.csv:5").into
    assert own is not None
    assert own.written


def test_any_line_of_a_row_that_takes_several_leads_to_it() -> None:
    pathlib.Path("in.csv").write_text('id,text\n0,a\n2,"b\nc\nd"\n4,e\n')
    run(obs.ReadFromCsv("in.csv", multiline=True))
    for line in (3, 4, 5):
        answer = fate(f"in.csv:{line}")
        assert answer.certainty.kind == COMPLETE
        assert answer.into is not None
        assert answer.into.written


def test_rows_behind_the_damage_in_a_row_group_were_refused_with_it() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    rows = [{"id": number, "text": "x" * 40} for number in range(60)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), "in.parquet", row_group_size=20)
    group = parquet.ParquetFile("in.parquet").metadata.row_group(1)
    damage("in.parquet", group.column(0).dictionary_page_offset + 20, 60)
    run(obs.ReadFromParquet("in.parquet"))
    for number in (21, 22, 40):
        assert refusal(fate(f"in.parquet:{number}")) == "CorruptBlock"
    assert is_filtered(fate("in.parquet:2"))
    assert is_filtered(fate("in.parquet:42"))


def test_records_behind_the_damage_in_a_block_were_refused_with_it() -> None:
    with open("in.avro", "wb") as file:
        rows = [{"id": number, "name": f"n{number}" * 5} for number in range(60)]
        fastavro.writer(file, SCHEMA, rows, "deflate", sync_interval=200)
    damage("in.avro", pathlib.Path("in.avro").stat().st_size // 2, 8)
    run(obs.ReadFromAvro("in.avro"))
    (letter,) = obs.read_dead_letters("evens@latest")
    assert letter.position is not None
    assert refusal(fate(f"in.avro@{letter.position}")) == "CorruptBlock"
    assert refusal(fate(f"in.avro@{letter.position + 1}")) == "CorruptBlock"


def test_a_position_at_which_nothing_can_be_read_is_not_said_to_be_filtered() -> None:
    with open("in.avro", "wb") as file:
        fastavro.writer(file, SCHEMA, [{"id": number, "name": ""} for number in range(10)])
    run(obs.ReadFromAvro("in.avro"))
    assert fate("in.avro@5").certainty.kind == NOT_RECORDED


def test_any_line_of_a_file_that_was_refused_as_a_whole_leads_to_its_dead_letter() -> None:
    pathlib.Path("in1.csv").write_text("id,name\n0,a\n")
    pathlib.Path("in2.csv").write_text("id,nome\n0,a\n1,b\n")
    run(obs.ReadFromCsv("in*.csv"))
    for line in (1, 2, 3):
        assert refusal(fate(f"in2.csv:{line}")) == "WrongHeader"


def test_a_compressed_file_that_is_cut_can_be_asked_up_to_the_damage() -> None:
    text = "id,text\n" + "".join(f"{number},{number * number * 12345}\n" for number in range(200))
    pathlib.Path("in.csv.gz").write_bytes(gzip.compress(text.encode())[:-200])
    run(obs.ReadFromCsv("in.csv.gz"))
    read = fate("in.csv.gz:2")
    assert read.into is not None
    assert [one.sink for one in read.into.written] == ["write"]
    assert read.record is not None
    assert (read.record.state, read.record.text) == (VERIFIED, "0,0")
    assert is_filtered(fate("in.csv.gz:3"))
    behind = fate("in.csv.gz:201")
    assert refusal(behind) == "DamagedCompression"
    assert behind.certainty.kind == NOT_RECORDED


def damage(path: str, at: int, size: int) -> None:
    """Exchanges bytes of a file for others."""
    content = bytearray(pathlib.Path(path).read_bytes())
    content[at : at + size] = bytes(byte ^ 0xFF for byte in content[at : at + size])
    pathlib.Path(path).write_bytes(bytes(content))
