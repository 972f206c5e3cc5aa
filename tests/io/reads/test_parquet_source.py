from __future__ import annotations

import base64
import datetime
import pathlib
import sys
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.files.found_files import NoFilesFound
from beam_obs.records.block_position import block_position
from beam_obs.records.origin import Partition
from tests.io.pipelines import RUNNER, run_read, run_with_dead_letters
from tests.io.splitting import check_ranges, found, read_split, read_whole, reader_of

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


class Delay(NamedTuple):
    carrier: str
    minutes: int


def _parquet(count: int, per_group: int = 3, **arguments: Any) -> bytes:
    table = pyarrow.table(
        {
            "carrier": [f"carrier {number}" for number in range(count)],
            "minutes": [None if number % 5 == 4 else number for number in range(count)],
            "day": [datetime.date(2013, 1, 1 + number % 28) for number in range(count)],
            "where": [{"from": "EWR", "to": [f"to {number}"]} for number in range(count)],
        }
    )
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink, row_group_size=per_group, write_page_checksum=True, **arguments)
    return bytes(sink.getvalue())


def _file(content: bytes, name: str = "in.parquet") -> str:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def _groups(path: str) -> list[int]:
    """Offsets of the row groups of a file."""
    metadata = parquet.ParquetFile(path).metadata
    return [
        min(
            metadata.row_group(number).column(0).dictionary_page_offset or 1 << 60,
            metadata.row_group(number).column(0).data_page_offset,
        )
        for number in range(metadata.num_row_groups)
    ]


def _damaged(content: bytes, group: int) -> bytes:
    """The file with bytes changed in the pages of the first column of a row group."""
    path = _file(content, "whole.parquet")
    start = _groups(path)[group]
    size = parquet.ParquetFile(path).metadata.row_group(group).column(0).total_compressed_size
    changed = bytearray(content)
    for place in range(start + size - 8, start + size):
        changed[place] ^= 0xFF
    return bytes(changed)


@pytest.mark.parametrize("columns", [None, ["minutes", "where.from"]])
def test_rows_are_those_that_beam_reads(columns: list[str] | None) -> None:
    path = _file(_parquet(20))

    ours = run_read(obs.ReadFromParquet(path, columns=columns))

    assert ours == run_read(beam.io.ReadFromParquet(path, columns=columns))
    assert len(ours) == 20


def test_beam_rows_are_those_that_beam_reads() -> None:
    path = _file(_parquet(4))
    columns = ["carrier", "minutes"]
    parquet.write_table(parquet.read_table(path).select(columns), "narrow.parquet")

    ours = run_read(obs.ReadFromParquet(path, columns=columns, as_rows=True))

    beams = run_read(beam.io.ReadFromParquet("narrow.parquet", as_rows=True))
    assert [tuple(row) for row in ours] == [tuple(row) for row in beams]
    assert ours[3].carrier == "carrier 3"


def test_a_column_that_beam_rows_cannot_have_is_an_error_when_the_pipeline_is_built() -> None:
    with pytest.raises(obs.UsageError, match="has a column that Beam rows cannot have"):
        obs.ReadFromParquet(_file(_parquet(4)), as_rows=True)


def test_a_position_is_the_row_group_and_the_place_in_it() -> None:
    content = _parquet(5, per_group=2)
    path = _file(content)

    rows = run_read(obs.ReadFromParquet(path, stamp=True))

    groups = _groups(path)
    places = [block_position(row["_lineage"]["position"]) for row in rows]
    assert places == [(groups[0], 0), (groups[0], 1), (groups[1], 0), (groups[1], 1), (groups[2], 0)]
    partition = Partition("in.parquet", rows[0]["_lineage"]["source_version"], wide=True)
    assert partition.verifies(bytes.fromhex(rows[4]["_lineage"]["origin"]), len(content) << 24)


def test_a_damaged_row_group_is_a_dead_letter_and_the_others_are_read() -> None:
    content = _damaged(_parquet(9), 1)
    path = _file(content)

    rows, dead = run_with_dead_letters(obs.ReadFromParquet(path))

    assert [row["carrier"] for row in rows] == [f"carrier {number}" for number in (0, 1, 2, 6, 7, 8)]
    group = _groups(path)[1]
    assert [block_position(letter.position) for letter in dead] == [(group, 0)]
    assert dead[0].error_message.startswith("row group 1 cannot be read from row 0 on")
    assert content[group:].startswith(dead[0].payload)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"no parquet at all", "no Parquet file that can be read"),
        (_parquet(3)[:-100], "no Parquet file that can be read"),
    ],
)
def test_a_file_without_a_footer_is_refused_as_a_whole(content: bytes, message: str) -> None:
    _file(content, "in/bad.parquet")
    _file(_parquet(2), "in/good.parquet")

    rows, dead = run_with_dead_letters(obs.ReadFromParquet("in/*"))

    assert len(rows) == 2
    assert [message in letter.error_message for letter in dead] == [True]
    with pytest.raises(Exception, match=message):
        run_read(obs.ReadFromParquet("in/*", on_bad_file="fail"))


def test_a_file_without_a_column_that_is_asked_for_is_refused() -> None:
    rows, dead = run_with_dead_letters(obs.ReadFromParquet(_file(_parquet(2)), columns=["carrier", "wheels"]))

    assert rows == []
    assert dead[0].error_message.endswith("in.parquet has no column 'wheels'")


def test_typed_records_refuse_what_does_not_fit() -> None:
    rows, dead = run_with_dead_letters(
        obs.ReadFromParquet(_file(_parquet(6)), record=Delay, redact=["carrier"])
    )

    assert rows == [Delay(f"carrier {number}", number) for number in (0, 1, 2, 3, 5)]
    assert dead[0].error_message == "field 'minutes' is None, expected a whole number"
    assert '"carrier": "[redacted]"' in dead[0].payload_text
    assert block_position(dead[0].position).record == 1


def _written(name: str, columns: dict[str, Any] | Any, **arguments: Any) -> str:
    table = pyarrow.table(columns) if isinstance(columns, dict) else columns
    parquet.write_table(table, name, **arguments)
    return name


_BEYOND: dict[str, Any] = {
    "a day beyond the year 9999": pyarrow.array([0] * 1499 + [2**31 - 1] + [0] * 1500, "int32").cast(
        "date32"
    ),
    "a time beyond the year 9999": pyarrow.array([0] * 1499 + [2**62] + [0] * 1500).cast(
        pyarrow.timestamp("us")
    ),
    "no text": pyarrow.array([b"text"] * 1499 + [b"\xff"] + [b"text"] * 1500).view("string"),
    "no text in a list": pyarrow.ListArray.from_arrays(
        range(3001), pyarrow.array([b"text"] * 1499 + [b"\xff"] + [b"text"] * 1500).view("string")
    ),
    "no text in a struct": pyarrow.StructArray.from_arrays(
        [pyarrow.array([b"text"] * 1499 + [b"\xff"] + [b"text"] * 1500).view("string")], names=["inside"]
    ),
}


@pytest.mark.parametrize("what", _BEYOND)
def test_a_value_that_python_cannot_hold_costs_its_row_alone(what: str) -> None:
    path = _written("in.parquet", {"n": range(3000), "odd": _BEYOND[what]})

    rows, dead = run_with_dead_letters(obs.ReadFromParquet(path, stamp=True))

    assert [row["n"] for row in rows] == [n for n in range(3000) if n != 1499]
    assert [block_position(row["_lineage"]["position"]).record for row in rows] == [row["n"] for row in rows]
    assert [block_position(letter.position) for letter in dead] == [(_groups(path)[0], 1499)]
    assert "column 'odd' has a" in dead[0].error_message
    assert '"n": 1499' in dead[0].payload_text


def test_what_python_cannot_hold_and_what_does_not_fit_keep_their_places() -> None:
    path = _written(
        "in.parquet",
        {
            "carrier": pyarrow.array([b"A", b"B", b"\xff", b"D"]).view("string"),
            "minutes": [1, None, 3, 4],
        },
    )

    rows, dead = run_with_dead_letters(obs.ReadFromParquet(path, record=Delay, redact=["carrier"]))

    assert rows == [Delay("A", 1), Delay("D", 4)]
    assert [block_position(letter.position).record for letter in dead] == [1, 2]
    assert "field 'minutes' is None" in dead[0].error_message
    assert '"carrier": "[redacted]"' in dead[1].payload_text


def _footer_only(groups: bytes) -> bytes:
    """A file of one column of whole numbers, with a list of row groups in Thrift's compact protocol."""
    root, leaf = b"\x48\x06schema\x15\x02\x00", b"\x15\x04\x25\x02\x18\x01a\x00"
    footer = b"\x15\x02\x19\x2c" + root + leaf + b"\x16\x06" + groups + b"\x00"
    return b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (b"\x19\x1c\x19\x0c\x16\x00\x16\x06\x00", "its row group 0 has 0 columns, and the file 1"),
        (b"\x19\x1c\x19\x1c\x26\x08\x00\x16\x00\x16\x06\x00", "it has 0 rows, and says 3"),
        (b"\x19\x1c\x19\x1c\x26\x08\x6c\x1c\x00\x00\x00\x16\x00\x16\x06\x00", "encrypted columns"),
    ],
)
def test_a_row_group_whose_columns_cannot_be_read_is_a_dead_letter(groups: bytes, message: str) -> None:
    _file(_footer_only(groups), "in/bad.parquet")
    _file(_parquet(2), "in/good.parquet")

    rows, dead = run_with_dead_letters(obs.ReadFromParquet("in/*"))

    assert len(rows) == 2
    assert [message in letter.error_message for letter in dead] == [True]


def test_columns_that_are_encrypted_under_a_plain_footer_are_a_dead_letter() -> None:
    encryption = pytest.importorskip("pyarrow.parquet.encryption")

    class Keys(encryption.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key: bytes, _: str) -> bytes:
            return base64.b64encode(key)

    secret = encryption.EncryptionConfiguration(
        footer_key="f", column_keys={"k": ["a"]}, plaintext_footer=True, double_wrapping=False
    )
    factory = encryption.CryptoFactory(lambda _: Keys())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), secret)
    pathlib.Path("in").mkdir()
    _written("in/bad.parquet", {"a": [1], "b": [2]}, encryption_properties=properties)
    _written("in/good.parquet", {"a": [1], "b": [2]})

    rows, dead = run_with_dead_letters(obs.ReadFromParquet("in/*"))

    assert rows == [{"a": 1, "b": 2}]
    assert [letter.error_message.partition("bad.parquet")[2] for letter in dead] == [
        " has encrypted columns, which are not supported"
    ]


def test_a_column_that_is_there_twice_is_not_lost() -> None:
    twice = pyarrow.Table.from_arrays([pyarrow.array([1])] * 3, names=["a", "b", "a"])
    path = _written("in.parquet", twice)

    rows, dead = run_with_dead_letters(obs.ReadFromParquet(path, validate=False))

    assert rows == []
    assert dead[0].error_type == "beam_obs.DuplicateColumns"
    assert dead[0].error_message.endswith("has 'a' more than once among its columns")
    assert run_read(obs.ReadFromParquet(path, columns=["b"])) == [{"b": 1}]
    with pytest.raises(obs.UsageError, match="has 'a' more than once"):
        obs.ReadFromParquet(path, as_rows=True)


def test_columns_that_every_file_has_twice_are_an_error_when_the_pipeline_is_built() -> None:
    pathlib.Path("in").mkdir()
    twice = pyarrow.Table.from_arrays([pyarrow.array([1])] * 3, names=["a", "b", "a"])
    path = _written("in/1.parquet", twice)

    with pytest.raises(obs.UsageError, match=r"1\.parquet has 'a' more than once .*; columns=.* reads"):
        run_read(obs.ReadFromParquet(path))

    _written("in/2.parquet", {"a": [1], "b": [2]})
    rows, dead = run_with_dead_letters(obs.ReadFromParquet("in/*"))
    assert (rows, len(dead)) == ([{"a": 1, "b": 2}], 1)


def test_rows_have_rows_inside() -> None:
    inside = [("x", pyarrow.int64()), ("many", pyarrow.list_(pyarrow.struct([("y", pyarrow.int64())])))]
    kind = pyarrow.struct([*inside, ("by", pyarrow.map_("string", pyarrow.struct([("z", "int64")])))])
    value = {"x": 1, "many": [{"y": 2}], "by": [("k", {"z": 3})]}
    path = _written("in.parquet", {"w": pyarrow.array([value, None], kind), "n": [1, 2]})

    whole = run_read(obs.ReadFromParquet(path, as_rows=True))
    part = run_read(obs.ReadFromParquet(path, as_rows=True, columns=["w.by"]))

    assert (whole[0].w.many[0].y, whole[0].w.by["k"].z, whole[1].w, whole[1].n) == (2, 3, None, 2)
    assert [row.w and row.w._fields for row in part] == [("by",), None]


def test_a_column_whose_name_is_no_name_of_a_field_is_an_error_when_the_pipeline_is_built() -> None:
    path = _written("in.parquet", {"in.x": [1]})

    assert run_read(obs.ReadFromParquet(path)) == [{"in.x": 1}]
    with pytest.raises(obs.UsageError, match=r"has a column that Beam rows cannot have: .*'in\.x'"):
        obs.ReadFromParquet(path, as_rows=True)


def test_places_of_row_groups_are_those_that_pyarrow_tells() -> None:
    content = _parquet(6, per_group=3)
    file = found(content, "in.parquet")
    reader = reader_of(obs.ReadFromParquet("in.parquet"))
    with pathlib.Path("in.parquet").open("rb") as stream:
        head = reader._format.head(stream, file)

    assert [group.offset for group in head.groups] == _groups("in.parquet")


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=3), st.data())
def test_a_footer_that_is_damaged_costs_what_it_tells_of_and_never_the_process(
    damage: bytes, data: st.DataObject
) -> None:
    content = bytearray(_parquet(9))
    length = int.from_bytes(content[-8:-4], "little")
    for byte in damage:
        content[data.draw(st.integers(len(content) - 8 - length, len(content) - 5))] = byte
    file = found(bytes(content), "damaged.parquet")

    rows, bad, _ = read_whole(reader_of(obs.ReadFromParquet("damaged.parquet")), file)

    assert len(rows) == 9 or bad


@pytest.mark.parametrize("pattern", ["none.parquet", "none/*.parquet"])
@pytest.mark.parametrize("as_rows", [False, True])
def test_a_pattern_that_finds_nothing_fails_when_the_pipeline_is_built(pattern: str, as_rows: bool) -> None:
    with pytest.raises(NoFilesFound, match="no file"):
        _ = beam.Pipeline(RUNNER) | obs.ReadFromParquet(pattern, as_rows=as_rows)


def test_without_pyarrow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(obs.MissingExtra, match=r"Parquet needs .*beam_obs\[parquet\]"):
        obs.ReadFromParquet("in.parquet")


def test_a_file_that_fails_to_open_fails_the_job_and_is_no_dead_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = _file(_parquet(3))
    file = found(_parquet(3), path)
    reader = reader_of(obs.ReadFromParquet(path))
    pathlib.Path(path).unlink()

    with pytest.raises(OSError, match=r"in\.parquet"):
        read_whole(reader, file)


@settings(deadline=None)
@given(
    st.integers(0, 30),
    st.integers(1, 7),
    st.none() | st.integers(0, 3),
    st.lists(st.floats(0, 1), max_size=20),
    # A file has some 3,000 bytes, and each range opens it: ranges of a byte are tried once.
    st.integers(100, 3000),
)
@example(3, 2, None, [0.5, 0.5], 1)
@pytest.mark.slow
def test_any_splits_give_the_same_rows_at_the_same_places(
    count: int, per_group: int, damaged: int | None, fractions: list[float], range_bytes: int
) -> None:
    content = _parquet(count, per_group)
    if damaged is not None and damaged * per_group < count:
        content = _damaged(content, damaged)
    else:
        damaged = None
    file = found(content, "split.parquet")
    read = obs.ReadFromParquet("split.parquet")
    whole, whole_bad, _ = read_whole(reader_of(read), file)

    good, bad, manifests = read_split(reader_of(read), file, range_bytes, fractions)

    def shown(rows: list[Any]) -> list[str]:
        return sorted(repr(row | {"_lineage": {**row["_lineage"], "stamped_at": ""}}) for row in rows)

    assert shown(good) == shown(whole)
    assert sorted((one.position, one.payload) for one in bad) == [
        (one.position, one.payload) for one in whole_bad
    ]
    assert len(bad) == (damaged is not None)
    assert len({row["_lineage"]["position"] for row in good}) == len(good)
    check_ranges(manifests, file.size)
