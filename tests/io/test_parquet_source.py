from __future__ import annotations

import datetime
import pathlib
import sys
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.io.found_files import NoFilesFound
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
    st.integers(1, 3000),
)
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
