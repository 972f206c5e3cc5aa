from __future__ import annotations

import bz2
import csv
import dataclasses
import datetime
import decimal
import enum
import gzip
import io
import lzma
import pathlib
import random
import tarfile
import zipfile
from typing import Any, NamedTuple

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream

import beam_obs as obs
from beam_obs import lineage
from tests.io.pipelines import RUNNER, Keeper, counters, run_read, run_with_dead_letters


class Kind(enum.Enum):
    JET = "jet"
    TURBOPROP = "turboprop"


class Flight(NamedTuple):
    carrier: str
    delay: int | None
    distance: float = 0.0


@dataclasses.dataclass
class Everything:
    whole: int
    number: float
    truth: bool
    amount: decimal.Decimal
    day: datetime.date
    at: datetime.datetime
    clock: datetime.time
    kind: Kind
    text: str
    note: str | None = None
    _lineage: dict[str, Any] | None = None


def _file(content: bytes | str, name: str = "in.csv") -> str:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def _random_csv(seed: int, rows: int, newlines: bool) -> str:
    chosen = random.Random(seed)
    letters = 'ab,"é \u0a0a' + ("\n" if newlines else "")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=chosen.choice(["\n", "\r\n"]))
    writer.writerow(["x", "y", "z"])
    for _ in range(rows):
        writer.writerow(["".join(chosen.choices(letters, k=chosen.randrange(9))) for _ in range(3)])
    return file.getvalue()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [50, 5000, 1 << 26])
def test_rows_are_what_csv_reads_of_the_whole(seed: int, size: int) -> None:
    text = _random_csv(seed, 500, newlines=False)
    path = _file(text)

    rows = run_read(obs.ReadFromCsv(path, desired_bundle_size=size))

    expected = list(csv.DictReader(io.StringIO(text, newline="")))
    assert sorted(map(str, rows)) == sorted(map(str, expected))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_quoted_newlines_are_what_csv_reads_of_the_whole(seed: int, encoding: str) -> None:
    text = _random_csv(seed, 20_000, newlines=True)
    path = _file(text.encode(encoding))

    rows = run_read(obs.ReadFromCsv(path, multiline=True, encoding=encoding))

    assert rows == list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("multiline", [False, True])
def test_positions_are_where_rows_begin(multiline: bool) -> None:
    text = _random_csv(7, 3000, newlines=multiline)
    path = _file(text)
    content = text.encode()

    rows = run_read(obs.ReadFromCsv(path, multiline=multiline, stamp=True))

    assert len(rows) == 3000
    for row in rows:
        rest = content[row["_lineage"]["position"] :].decode()
        first = next(csv.reader(io.StringIO(rest, newline="")))
        assert first == [row["x"], row["y"], row["z"]]


def test_damage_costs_the_damaged_rows_only() -> None:
    path = _file(b'a,b\n1,2\n3\n4,5,6\n"7,8\n9,10\n\xff,1\n\0\0\n\n11,12\n13')

    rows, dead = run_with_dead_letters(obs.ReadFromCsv(path))

    assert rows == [{"a": "1", "b": "2"}, {"a": "9", "b": "10"}, {"a": "11", "b": "12"}]
    assert [(letter.position, letter.payload) for letter in dead] == [
        (8, b"3"),
        (10, b"4,5,6"),
        (16, b'"7,8'),
        (26, b"\xff,1"),
        (30, b"\0\0"),
        (40, b"13"),
    ]
    assert [letter.error_message for letter in dead][:3] == [
        "too few columns: row has 1, header has 2",
        "too many columns: row has 3, header has 2",
        "a quote is not closed on its line",
    ]
    assert len({letter.fingerprint for letter in dead}) == 5


def test_a_last_row_without_newline_is_a_row() -> None:
    assert run_read(obs.ReadFromCsv(_file(b"a,b\r\n1,2\r\n3,4"))) == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]


def test_a_file_with_a_header_only_has_no_rows() -> None:
    for content in (b"a,b", b"a,b\n", b"\xef\xbb\xbfa,b\r\n"):
        assert run_with_dead_letters(obs.ReadFromCsv(_file(content))) == ([], [])


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    assert run_read(obs.ReadFromCsv(_file(b"\xef\xbb\xbfa,b\n1,2\n"))) == [{"a": "1", "b": "2"}]


def test_an_empty_file_is_one_dead_letter() -> None:
    _file(b"a,b\n1,2\n", "in/1.csv")
    _file(b"", "in/2.csv")
    _file(b"\n\n", "in/3.csv")

    rows, dead = run_with_dead_letters(obs.ReadFromCsv("in/*.csv"))

    assert rows == [{"a": "1", "b": "2"}]
    assert [letter.error_type.rsplit(".")[-1] for letter in dead] == ["EmptyFile", "EmptyFile"]
    assert "2.csv is empty: it has no header" in dead[0].error_message


def test_a_file_with_another_header_than_the_first_is_one_dead_letter() -> None:
    _file(b"", "in/0.csv")
    _file(b"a,b\n1,2\n", "in/1.csv")
    _file(b"b,a\n3,4\n", "in/2.csv")
    _file(b"a,c\n5,6\n7,8\n", "in/3.csv")

    rows, dead = run_with_dead_letters(obs.ReadFromCsv("in/*.csv", desired_bundle_size=3))

    assert sorted(row["a"] for row in rows) == ["1", "4"]
    assert [letter.payload for letter in dead] == [b"", b"a,c"]
    assert dead[1].error_message.endswith("another header than expected: missing 'b'; not expected 'c'")


def test_given_columns_are_expected_of_every_header() -> None:
    path = _file(b"a,c\n1,2\n")

    rows, dead = run_with_dead_letters(obs.ReadFromCsv(path, columns=["a", "b"]))

    assert rows == []
    assert "missing 'b'; not expected 'c'" in dead[0].error_message


def test_a_bad_file_can_fail_the_job() -> None:
    with pytest.raises(Exception, match=r"WrongHeader.*missing 'b'|missing 'b'"):
        run_with_dead_letters(obs.ReadFromCsv(_file(b"a,c\n"), columns=["a", "b"], on_bad_file="fail"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,a\n1,2\n", "has 'a' more than once in its header"),
        (b"_2,\n1,2\n", "has '_2' more than once in its header"),
        (b"a,\xff\n1,2\n", "the header is not utf-8"),
        (b"a,b\r1,2\r", "carriage return alone"),
        (b"a\0,b\n", "NUL bytes"),
    ],
)
def test_a_header_that_is_none_is_one_dead_letter(content: bytes, message: str) -> None:
    rows, dead = run_with_dead_letters(obs.ReadFromCsv(_file(content), validate=False))

    assert rows == []
    assert len(dead) == 1
    assert message in dead[0].error_message


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("compress", [False, True])
def test_a_name_in_the_header_may_hold_newlines_where_fields_may(end: str, compress: bool) -> None:
    content = f'id,"name, or{end}alias, or{end}nick"{end}1,a{end}2,"b{end}c"{end}'.encode()
    path = _file(gzip.compress(content), "in.csv.gz") if compress else _file(content)

    rows = run_read(obs.ReadFromCsv(path, multiline=True, stamp=True))

    name = f"name, or{end}alias, or{end}nick"
    assert [(row["id"], row[name]) for row in rows] == [("1", "a"), ("2", f"b{end}c")]
    first = content.index(b"1,a")
    assert [row["_lineage"]["position"] for row in rows] == [first, first + 3 + len(end)]


@pytest.mark.parametrize(
    ("content", "multiline", "message"),
    [
        (
            '"full\nname"\na\nb\n',
            False,
            "a quote in the header is not closed, or it goes on in the next line",
        ),
        ('id,"name\n1,a\n2,b\n', False, "a quote in the header is not closed"),
        ('id,"name\n1,a\n2,b\n', True, "a quote in the header is not closed"),
        ('id,"name\n1,"a"\n2,b\n', True, "the header is not CSV"),
    ],
)
def test_a_header_whose_quotes_are_not_closed_is_one_dead_letter(
    content: str, multiline: bool, message: str
) -> None:
    rows, dead = run_with_dead_letters(obs.ReadFromCsv(_file(content), multiline=multiline))

    assert rows == []
    assert [message in letter.error_message for letter in dead] == [True]
    assert dead[0].payload.startswith(content.encode()[:5])


def test_a_file_of_carriage_returns_is_refused_for_its_lines_however_large() -> None:
    rows, dead = run_with_dead_letters(obs.ReadFromCsv(_file(b"a,b\r" + b"1,2\r" * 5_000_000)))

    assert rows == []
    assert ["lines end with a carriage return alone" in letter.error_message for letter in dead] == [True]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("read", [obs.ReadFromCsv, obs.ReadFromJson, obs.ReadFromText])
def test_a_file_of_another_encoding_is_refused_and_told_which(encoding: str, read: Any) -> None:
    if encoding == "utf-32" and read is not obs.ReadFromCsv:
        encoding = "utf-16"
    path = _file('{"id": 1, "name": 2}\n'.encode(encoding))

    rows, dead = run_with_dead_letters(read(path))

    assert rows == []
    assert [f'give encoding="{encoding}"' in letter.error_message for letter in dead] == [True]


@pytest.mark.parametrize("read", [obs.ReadFromCsv, obs.ReadFromJson, obs.ReadFromText])
def test_a_file_that_is_no_text_is_one_dead_letter_that_says_what_it_is(read: Any) -> None:
    text = b'{"a": 1}\n' * 100
    packed, zipped, tarred = io.BytesIO(), io.BytesIO(), io.BytesIO()
    fastavro.writer(packed, {"type": "record", "name": "R", "fields": []}, [{}])
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("in.csv", text)
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        member = tarfile.TarInfo("in.csv")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    files = {
        "a.gz.txt": (gzip.compress(text), 'gzip data: give compression_type="gzip", or name it *.gz'),
        "b.bz.txt": (bz2.compress(text), 'bzip2 data: give compression_type="bzip2"'),
        "c.xz.txt": (lzma.compress(text), 'lzma data: give compression_type="lzma"'),
        "d.gz": (gzip.compress(gzip.compress(text)), "gzip data once more"),
        "e.zip": (zipped.getvalue(), "a zip archive, or an Office file"),
        "f.tar": (tarred.getvalue(), "a tar archive: unpack it first"),
        "g.tar.gz": (gzip.compress(tarred.getvalue()), "a tar archive: unpack it first"),
        "h.avro": (packed.getvalue(), "an Avro file: read it by obs.ReadFromAvro"),
        "i.parquet": (b"PAR1\x15\x04\n\n", "a Parquet file: read it by obs.ReadFromParquet"),
    }
    for name, (content, _) in files.items():
        _file(content, f"in/{name}")

    rows, dead = run_with_dead_letters(read("in/*"))

    assert rows == []
    assert [letter.error_type for letter in dead] == ["beam_obs.NotText"] * len(files)
    for letter, (name, (_, message)) in zip(dead, files.items(), strict=True):
        assert f"{name} is no text but {message}" in letter.error_message


@pytest.mark.parametrize("beside", ["y", '"y"', "\xff", "y,z"])
@pytest.mark.parametrize("size", [1000, 150_000, 1 << 26])
@pytest.mark.parametrize("multiline", [False, True])
def test_a_field_is_too_long_or_not_whatever_stands_beside_it(
    beside: str, size: int, multiline: bool
) -> None:
    limit = csv.field_size_limit()
    content = f"a,b\n1,{'x' * (limit + 1)}\n2,{'x' * limit}\n3,{beside}\n".encode("latin-1")

    rows, dead = run_with_dead_letters(
        obs.ReadFromCsv(_file(content), desired_bundle_size=size, multiline=multiline)
    )

    good = ["2", "3"] if "y" in beside and "z" not in beside else ["2"]
    assert sorted(row["a"] for row in rows) == good
    assert [letter.payload[:2] for letter in dead] == [b"1,", *([b"3,"] if good == ["2"] else [])]
    assert "field larger than field limit" in dead[0].error_message


def test_a_file_whose_name_is_no_text_is_read() -> None:
    pathlib.Path("odd").mkdir()
    with open(b"odd/caf\xe9.csv", "w") as file:
        file.write("a,b\n1,2\nbad\n")
    kept, dead = Keeper(), Keeper()

    with obs.Pipeline(RUNNER, name="odd") as p:
        rows, letters = p | "read" >> obs.ReadFromCsv("odd/*.csv", stamp=True).with_dead_letters()
        _ = rows | "kept" >> beam.Map(kept)
        _ = letters | "dead" >> beam.Map(dead)
        _ = p | "bare" >> beam.io.ReadFromText("odd/*.csv") | "json" >> obs.WriteToJson("out/lines")

    assert [row["_lineage"]["source_uri"].rpartition("/")[2] for row in kept.elements] == [r"caf\xe9.csv"]
    assert [letter.source_uri.rpartition("/")[2] for letter in dead.elements] == [r"caf\xe9.csv"]
    end = obs.Store().find("latest").end
    assert end is not None
    assert end["dead_letters"]["count"] == 1
    answer = lineage.why("out/lines-00000-of-00001.jsonl:2")
    assert answer.certainty.text == "complete"
    assert [one.record.state for one in answer.made_of] == ["verified"]


def test_a_name_that_every_header_has_twice_is_an_error_when_the_pipeline_is_built() -> None:
    _file(b"id,name,name\n1,2,3\n", "in/1.csv")
    path = _file(b"id,name,name\n4,5,6\n", "in/2.csv")

    with pytest.raises(obs.UsageError, match=r"1\.csv has 'name' more than once in its header; .*skip_lines"):
        run_read(obs.ReadFromCsv("in/*.csv"))

    names = ["id", "first", "last"]
    own_names = obs.ReadFromCsv(path, names, header=False, skip_lines=1)
    assert run_read(own_names) == [{"id": "4", "first": "5", "last": "6"}]


def test_a_name_that_some_header_has_twice_is_a_dead_letter_of_its_file() -> None:
    _file(b"a,a\n1,2\n", "in/1.csv")
    _file(b"a,b\n3,4\n", "in/2.csv")

    rows, dead = run_with_dead_letters(obs.ReadFromCsv("in/*.csv", columns=["a", "b"]))

    assert rows == [{"a": "3", "b": "4"}]
    assert [(letter.error_type, letter.payload) for letter in dead] == [("beam_obs.DuplicateColumns", b"a,a")]


def test_columns_without_a_name_are_named_by_their_places() -> None:
    path = _file(b',a,"",b,\n1,2,3,4,5\n')

    assert run_read(obs.ReadFromCsv(path)) == [{"_1": "1", "a": "2", "_3": "3", "b": "4", "_5": "5"}]


def test_a_file_with_columns_without_a_name_is_refused_where_that_is_asked_for() -> None:
    path = _file(b"a,,b,\n1,2,3,4\n")

    rows, dead = run_with_dead_letters(obs.ReadFromCsv(path, unnamed_columns="refuse"))

    assert rows == []
    assert "the header has no name for columns 2, 4 of 4" in dead[0].error_message


@pytest.mark.parametrize("size", [1, 7, 1 << 26])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("compress", [False, True])
def test_lines_before_the_header_are_left_out_whatever_they_hold(
    size: int, encoding: str, compress: bool
) -> None:
    text = 'made by "us\n\r junk \r " \u00e9\n\n\na,b\n1,2\n3,"4"\n'
    content = text.encode(encoding)
    path = _file(gzip.compress(content), "in.csv.gz") if compress else _file(content)

    rows = run_read(
        obs.ReadFromCsv(path, skip_lines=3, encoding=encoding, desired_bundle_size=size, stamp=True)
    )

    assert sorted((row["a"], row["b"]) for row in rows) == [("1", "2"), ("3", "4")]
    if encoding != "utf-16":
        assert sorted(row["_lineage"]["position"] for row in rows) == [
            content.index(b"1,2"),
            content.index(b'3,"4"'),
        ]


def test_a_line_that_is_left_out_may_be_longer_than_what_is_read_at_once() -> None:
    path = _file(b"x\r" * 50_000 + b"\xff\0\na,b\n1,2\n")

    assert run_read(obs.ReadFromCsv(path, skip_lines=1)) == [{"a": "1", "b": "2"}]
    assert run_read(obs.ReadFromText(path, skip_header_lines=1)) == ["a,b", "1,2"]


def test_quotes_in_lines_that_are_left_out_hold_no_newlines() -> None:
    path = _file('"a note\nof two lines"\na,"b\nc"\n1,"2\n3"\n')

    rows = run_read(obs.ReadFromCsv(path, skip_lines=2, multiline=True))

    assert rows == [{"a": "1", "b\nc": "2\n3"}]


def test_a_file_of_fewer_lines_than_are_left_out_has_no_header() -> None:
    path = _file(b"a,b\n1,2\n")

    rows, dead = run_with_dead_letters(obs.ReadFromCsv(path, skip_lines=2))

    assert rows == []
    assert "in.csv has no header behind the 2 lines that skip_lines= leaves out" in dead[0].error_message
    assert run_with_dead_letters(obs.ReadFromCsv(path, ["a"], header=False, skip_lines=9)) == ([], [])


def test_answers_know_the_lines_that_were_left_out() -> None:
    path = _file('made by "us\nyesterday\na,b\n1,2\n3\n')
    with obs.Pipeline(RUNNER, name="left-out") as p:
        _ = p | "read" >> obs.ReadFromCsv(path, skip_lines=2) | "json" >> obs.WriteToJson("out")

    (made_of,) = lineage.why("out-00000-of-00001.jsonl:1").made_of
    assert (made_of.record.line, made_of.record.header, made_of.record.text) == (4, "a,b", "1,2")
    assert "line 2 is no record: it stands before the header" in lineage.fate(f"{path}:2").notes
    assert "line 3 is no record: it is the file's header" in lineage.fate(f"{path}:3").notes
    assert lineage.fate(f"{path}:4").into is not None


def test_files_without_header_take_the_names_given() -> None:
    path = _file(b"1,2\n3,4\n")

    assert run_read(obs.ReadFromCsv(path, ["a", "b"], header=False)) == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
    ]


def test_a_dialect_is_obeyed() -> None:
    path = _file("a;b\n'1;x'; 2\n")

    assert run_read(obs.ReadFromCsv(path, delimiter=";", quotechar="'", skipinitialspace=True)) == [
        {"a": "1;x", "b": "2"}
    ]


def test_rows_become_named_tuples() -> None:
    path = _file(b"distance,carrier,delay,more\n1.5,UA,11,x\n2,AA,,x\n")

    flights = run_read(obs.ReadFromCsv(path, record=Flight))

    assert flights == [Flight("UA", 11, 1.5), Flight("AA", None, 2.0)]


def test_texts_for_nothing_can_be_named() -> None:
    path = _file(b"carrier,delay\nUA,NA\nAA,\n")

    flights, dead = run_with_dead_letters(obs.ReadFromCsv(path, record=Flight, null_values=["NA"]))

    assert flights == [Flight("UA", None)]
    assert dead[0].error_message == "column 'delay' is '', expected a whole number or nothing"


def test_every_type_that_is_promised_is_converted() -> None:
    path = _file(
        "whole,number,truth,amount,day,at,clock,kind,text,note\n"
        "5,1e3,True,1.10,2013-01-31,2013-01-01T10:00:00Z,05:17:00,jet,x,\n"
    )

    records = run_read(obs.ReadFromCsv(path, record=Everything))

    assert records == [
        Everything(
            5,
            1000.0,
            True,
            decimal.Decimal("1.10"),
            datetime.date(2013, 1, 31),
            datetime.datetime(2013, 1, 1, 10, tzinfo=datetime.timezone.utc),
            datetime.time(5, 17),
            Kind.JET,
            "x",
        )
    ]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("whole", "5.5", "a whole number"),
        ("truth", "maybe", "true or false"),
        ("kind", "glider", "one of jet, turboprop"),
    ],
)
def test_a_value_that_does_not_fit_is_a_dead_letter_that_names_the_column(
    column: str, value: str, expected: str
) -> None:
    row = {"whole": "5", "number": "1", "truth": "no", "amount": "1", "day": "2013-01-31", "at": "2013-01-01"}
    row |= {"clock": "05:17", "kind": "jet", "text": "x"} | {column: value}
    path = _file(f"{','.join(row)}\n{','.join(row.values())}\n")

    records, dead = run_with_dead_letters(obs.ReadFromCsv(path, record=Everything))

    assert records == []
    assert dead[0].error_message == f"column {column!r} is {value!r}, expected {expected}"
    assert dead[0].payload.decode() == ",".join(row.values())


def test_a_row_that_does_not_fit_is_whole_over_several_lines() -> None:
    path = _file(b'carrier,delay\n"U\nA",x\nAA,1\n"B\n\n6",y\n')

    records, dead = run_with_dead_letters(obs.ReadFromCsv(path, record=Flight, multiline=True))

    assert records == [Flight("AA", 1)]
    assert [letter.payload for letter in dead] == [b'"U\nA",x', b'"B\n\n6",y']


def test_a_file_without_a_needed_column_is_one_dead_letter() -> None:
    records, dead = run_with_dead_letters(obs.ReadFromCsv(_file(b"carrier,late\nUA,1\n"), record=Flight))

    assert records == []
    assert dead[0].error_message.endswith("missing 'delay'")


def test_stamps_name_file_version_and_place() -> None:
    path = _file(b"a\nx\ny\n", "data/in.csv")

    rows = run_read(obs.ReadFromCsv("data/*.csv", stamp=True))

    lineage = rows[1]["_lineage"]
    assert rows[1]["a"] == "y"
    assert lineage["source_uri"] == str(pathlib.Path(path).resolve())
    assert lineage["position"] == 4
    assert lineage["source_version"].startswith("6-")
    assert lineage["pipeline"]
    assert lineage["run"]
    assert lineage["stamped_at"].endswith("Z")


def test_an_origin_is_the_same_for_a_clone_elsewhere() -> None:
    _file(b"a\nx\n", "here/2013/in.csv")
    _file(b"a\nx\n", "there/far/2013/in.csv")

    here, there = (
        run_read(obs.ReadFromCsv(f"{folder}/*/in.csv", stamp=True))[0]["_lineage"]["origin"]
        for folder in ("here", "there/far")
    )

    assert here == there


def test_dataclasses_are_stamped_in_their_field() -> None:
    header = "whole,number,truth,amount,day,at,clock,kind,text"
    path = _file(f"{header}\n5,1,no,1,2013-01-31,2013-01-01,05:17,jet,x\n")

    records = run_read(obs.ReadFromCsv(path, record=Everything, stamp=True))

    assert records[0]._lineage["position"] == len(header) + 1


def test_a_stage_keeps_the_stamp_for_its_dead_letters() -> None:
    path = _file(b"a\n1\nx\n")
    dead = Keeper()
    with beam.Pipeline(RUNNER) as p:
        rows = p | obs.ReadFromCsv(path, stamp=True)
        _, letters = rows | "whole" >> obs.Stage(beam.Map(lambda row: int(row["a"]))).with_dead_letters()
        _ = letters | beam.Map(dead)

    assert [(letter.position, letter.source_uri) for letter in dead.elements] == [
        (4, str(pathlib.Path(path).resolve()))
    ]
    assert dead.elements[0].origin


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"record": Flight, "stamp": True}, "no room"),
        ({"record": int}, "not dict, a NamedTuple"),
        ({"header": False}, "give the names"),
        ({"columns": "a,b"}, "list of names"),
        ({"columns": ["a", "a"]}, "twice"),
        ({"columns": ["carrier"], "record": Flight}, "delay"),
        ({"columns": ["a", "_lineage"], "stamp": True}, "of their own"),
        ({"delimiter": "ab"}, "CSV dialect"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_when_the_read_is_made(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(obs.UsageError, match=message):
        obs.ReadFromCsv("in.csv", **arguments)


def test_a_dataclass_without_room_is_refused_and_told_what_to_write() -> None:
    @dataclasses.dataclass
    class Bare:
        a: int

    with pytest.raises(obs.UsageError, match="give it a field '_lineage: dict"):
        obs.ReadFromCsv("in.csv", record=Bare, stamp=True)


def test_a_field_of_an_unknown_type_is_refused() -> None:
    class Odd(NamedTuple):
        a: list[int]

    with pytest.raises(obs.UsageError, match="field 'a'"):
        obs.ReadFromCsv("in.csv", record=Odd)


def test_a_torn_gzip_file_keeps_what_stood_before_and_says_so() -> None:
    content = b"a,b\n" + b"".join(b'%d,"x\ny"\n' % number for number in range(5000))
    path = _file(gzip.compress(content)[:-1000], "in.csv.gz")

    for multiline in (True, False):
        rows, dead = run_with_dead_letters(obs.ReadFromCsv(path, multiline=multiline))
        whole = [letter for letter in dead if letter.error_type.endswith("DamagedCompression")]
        assert len(whole) == 1
        if multiline:
            assert len(dead) == 1
            assert rows == [{"a": str(number), "b": "x\ny"} for number in range(len(rows))]
            assert content[whole[0].position :].startswith(whole[0].payload)


def test_counters_are_on_the_step_of_the_read() -> None:
    path = _file(b"a,b\n1,2\n3\n4,5\n")
    p = beam.Pipeline(RUNNER)
    _ = p | "outer/read" >> obs.ReadFromCsv(path).with_dead_letters()

    assert counters(p.run(), "outer/read") == {"in": 3, "out": 2, "dead": 1}


def test_an_observed_run_keeps_dead_letters_and_notes_what_was_read() -> None:
    path = _file(b"a,b\n" + b"1,2\n" * 100 + b"3\n")
    with obs.Pipeline(RUNNER, name="reading", argv=["--obs_store=store"]) as p:
        _ = p | "read" >> obs.ReadFromCsv(path, desired_bundle_size=100)

    import json

    end = json.loads(next(pathlib.Path("store").glob("runs/reading/*/end.json")).read_text())
    files = end["inputs"][0]["files"]
    assert end["balance"]["holds"]
    assert end["inputs"][0]["records"] == 100
    assert end["dead_letters"]["by_stage"] == {"read": 1}
    assert sum(file["records"] for file in files) == 100
    assert sum(file["stop"] - file["start"] for file in files) == pathlib.Path(path).stat().st_size
    assert len({file["version"] for file in files}) == 1


def _streaming(pipeline: Any) -> tuple[list[Any], list[Any]]:
    path = _file(b"a,b\n" + b"1,2\n" * 1000 + b"3\n")
    rows, events = Keeper(), Keeper()
    with pipeline as p:
        stream = test_stream.TestStream().add_elements(["x"]).advance_watermark_to_infinity()
        _ = p | stream | "events" >> beam.Map(events)
        read = obs.ReadFromCsv(path, desired_bundle_size=100)
        records = p | "read" >> (read if isinstance(p, obs.Pipeline) else read.with_dead_letters())
        records = records if isinstance(p, obs.Pipeline) else records[0]
        _ = records | "rows" >> beam.Map(rows)
    return rows.elements, events.elements


def test_files_are_read_beside_a_stream_on_the_direct_runner() -> None:
    rows, events = _streaming(beam.Pipeline("DirectRunner", PipelineOptions(["--streaming"])))

    assert (len(rows), events) == (1000, ["x"])


def test_files_are_read_beside_a_stream_in_an_observed_run() -> None:
    options = PipelineOptions(["--streaming", "--obs_store=store"])

    rows, events = _streaming(obs.Pipeline("DirectRunner", options, name="stream"))

    assert (len(rows), events) == (1000, ["x"])


def test_typed_records_cross_a_shuffle() -> None:
    path = _file(b"carrier,delay\nUA,1\nAA,\nUA,3\n")
    found = Keeper()
    with beam.Pipeline(RUNNER) as p:
        flights = p | obs.ReadFromCsv(path, record=Flight)
        _ = (
            flights
            | beam.Reshuffle()
            | beam.GroupBy("carrier").aggregate_field(lambda _: 1, sum, "n")
            | beam.Map(found)
        )

    assert sorted((row.carrier, row.n) for row in found.elements) == [("AA", 1), ("UA", 2)]
