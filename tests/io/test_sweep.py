"""Generated files, with any range size and any splits: good rows and dead letters account for every row.

What is good is told by csv, json, fastavro and pyarrow, which read the same rows without ranges.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

import fastavro
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import beam_obs as obs
from tests.io.splitting import check_ranges, found, read_split, reader_of

REFUSED = object()


class Sample(NamedTuple):
    """A file and what each of its rows is.

    Args:
      name: of the file.
      content: its bytes.
      rows: by position, what is read of it, or REFUSED.
      read: reads the file.
    """

    name: str
    content: bytes
    rows: dict[Any, Any]
    read: Callable[[str], Any]


def _read(sample: Sample, range_bytes: int, fractions: list[float], block_bytes: int) -> None:
    """Reads a sample and holds what comes out against it."""
    file = found(sample.content, sample.name)
    reader = reader_of(sample.read(sample.name), block_bytes)

    good, bad, manifests = read_split(reader, file, range_bytes, fractions)

    places = [row.pop("_lineage")["position"] for row in good]
    assert len(set(places)) == len(places), "a row was read twice"
    read = dict(zip(places, good, strict=True))
    refused = [one.position for one in bad]
    assert len(set(refused)) == len(refused), "a row was refused twice"
    assert {place: row for place, row in sample.rows.items() if row is not REFUSED} == read
    assert {place for place, row in sample.rows.items() if row is REFUSED} == set(refused)
    assert sum(manifest.count for manifest in manifests) == len(good)
    assert sum(manifest.details["dead"] for manifest in manifests) == len(bad)
    if file.size:
        check_ranges(manifests, file.size)


# CSV: each line by itself is what csv makes of it.

_csv_lines = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"1,2",
                b'"1","2"',
                b'3,"4',
                b'5,"6""7"',
                b"8",
                b"9,10,11",
                b"",
                b"\xff,1",
                b"a\0,1",
                "é,ü".encode(),
                b"x,\x00",
                b'"a"b,c',
                b"1\r,2",
                b"1,2\r",
            ]
        ),
        st.tuples(st.text("ab,\" '", max_size=6), st.text("ab,\" '", max_size=6)).map(
            lambda pair: ",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' for field in pair).encode()
        ),
        st.binary(max_size=8).map(lambda line: line.replace(b"\n", b"")),
    ),
    max_size=25,
)


def _csv_row(line: bytes) -> Any:
    line = line.removesuffix(b"\r")
    try:
        text = line.decode()
        rows = list(csv.reader([text, ""]))
    except (UnicodeDecodeError, csv.Error):
        return REFUSED
    if not text:
        return None
    if "\0" in text or len(rows) != 2 or len(rows[0]) != 2:
        return REFUSED
    return {"a": rows[0][0], "b": rows[0][1]}


@st.composite
def csv_samples(draw: Any) -> Sample:
    lines = draw(_csv_lines)
    ends = b"\n" if draw(st.booleans()) else b""
    left_out = draw(st.lists(_csv_lines.map(b"".join), max_size=3))
    names = draw(st.sampled_from([("a", "b"), ("", "b"), ("a", ""), ("", "")]))
    header = ",".join(names).encode() if any(names) else b'"",'
    keys = tuple(name or f"_{place}" for place, name in enumerate(names, 1))
    content, rows = b"".join(line + b"\n" for line in (*left_out, header)), {}
    for number, line in enumerate(lines):
        row = _csv_row(line)
        if row is not None:
            rows[len(content)] = row if row is REFUSED else dict(zip(keys, row.values(), strict=True))
        content += line + (b"\n" if number < len(lines) - 1 else ends)
    skip_lines = len(left_out)
    return Sample(
        "in.csv", content, rows, lambda path: obs.ReadFromCsv(path, stamp=True, skip_lines=skip_lines)
    )


# JSON lines.

_json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
_json_lines = st.lists(
    st.one_of(
        st.dictionaries(st.text(max_size=3), _json_values, max_size=3).map(json.dumps).map(str.encode),
        st.dictionaries(st.text(max_size=3), _json_values, max_size=3).map(
            lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        ),
        st.sampled_from([b"", b"  ", b"[1]", b"1e999", b'{"a": 1e999}', b'{"a": NaN}', b'{"a": ', b"\xff{}"]),
        st.sampled_from([b'{"a":1,"a":2}', b'{"b": {"a" :1, "a" :2}}', b'{"a": ":", "b": "\\":"}']),
        st.binary(max_size=6).map(lambda line: line.replace(b"\n", b"")),
    ),
    max_size=20,
)


def _json_row(line: bytes) -> Any:
    def refuse(_: str) -> Any:
        raise ValueError

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(pairs) if len(dict(pairs)) == len(pairs) else refuse("")

    def finite(text: str) -> float:
        number = float(text)
        return number if abs(number) != float("inf") else refuse(text)

    try:
        text = line.removesuffix(b"\r").decode()
        if not text or text.isspace():
            return None
        value = json.loads(text, parse_constant=refuse, parse_float=finite, object_pairs_hook=unique)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return REFUSED
    return value if isinstance(value, dict) else REFUSED


@st.composite
def json_samples(draw: Any) -> Sample:
    content, rows = b"", {}
    for line in draw(_json_lines):
        row = _json_row(line)
        if row is not None:
            rows[len(content)] = row
        content += line + b"\n"
    return Sample("in.jsonl", content, rows, lambda path: obs.ReadFromJson(path, stamp=True))


# Avro and Parquet: the place of a row is its block and its number in the block.

_AVRO: dict[str, Any] = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "n", "type": "int"},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "xs", "type": {"type": "array", "items": "double"}},
    ],
}
_avro_rows = st.lists(
    st.tuples(
        st.sampled_from([str(uuid.UUID(int=7)), "n/a"]),
        st.none() | st.dates() | st.just(2**31 - 1),
        st.lists(st.floats(allow_nan=False), max_size=3),
    ),
    max_size=25,
)


@st.composite
def avro_samples(draw: Any) -> Sample:
    per_block, codec = draw(st.integers(1, 6)), draw(st.sampled_from(["null", "deflate"]))
    sink = io.BytesIO()
    writer = fastavro.write.Writer(sink, _AVRO, codec=codec)
    rows = {}
    for number, (text, day, xs) in enumerate(draw(_avro_rows)):
        if number % per_block == 0:
            writer.dump()
            start = sink.tell()
        record = {"n": number, "id": text, "day": day, "xs": xs}
        writer.write(record)
        is_read = text != "n/a" and not isinstance(day, int)
        rows[(start << 24) + number % per_block] = {**record, "id": uuid.UUID(text)} if is_read else REFUSED
    writer.flush()
    return Sample("in.avro", sink.getvalue(), rows, lambda path: obs.ReadFromAvro(path, stamp=True))


_parquet_rows = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=3),
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.lists(st.integers(-5, 5), max_size=2),
    ),
    max_size=25,
)


def _day(days: int | None) -> Any:
    try:
        return days if days is None else datetime.date(1970, 1, 1) + datetime.timedelta(days=days)
    except OverflowError:
        return REFUSED


def _text(raw: bytes | None) -> Any:
    try:
        return raw if raw is None else raw.decode()
    except UnicodeDecodeError:
        return REFUSED


@st.composite
def parquet_samples(draw: Any) -> Sample:
    values, per_group = draw(_parquet_rows), draw(st.integers(1, 6))
    table = pyarrow.table(
        {
            "text": pyarrow.array([raw for raw, _, _ in values], "binary").view("string"),
            "day": pyarrow.array([days for _, days, _ in values], "int32").cast("date32"),
            "xs": pyarrow.array([xs for _, _, xs in values], pyarrow.list_(pyarrow.int64())),
        }
    )
    sink = io.BytesIO()
    parquet.write_table(table, sink, row_group_size=per_group)
    metadata = parquet.ParquetFile(sink).metadata
    rows = {}
    for number, (raw, days, xs) in enumerate(values):
        first = metadata.row_group(number // per_group).column(0)
        start = first.dictionary_page_offset or first.data_page_offset
        row = {"text": _text(raw), "day": _day(days), "xs": xs}
        rows[(start << 24) + number % per_group] = REFUSED if REFUSED in row.values() else row
    return Sample("in.parquet", sink.getvalue(), rows, lambda path: obs.ReadFromParquet(path, stamp=True))


samples = st.one_of(csv_samples(), json_samples(), avro_samples(), parquet_samples())
fractions = st.lists(st.floats(0, 1), max_size=12)
_ANY = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(deadline=None, max_examples=80, suppress_health_check=_ANY)
@given(samples, st.data(), fractions, st.sampled_from([1, 7, 64, 1 << 15]))
@pytest.mark.slow
def test_any_range_size_and_any_splits_account_for_every_row(
    sample: Sample, data: st.DataObject, fractions: list[float], block_bytes: int
) -> None:
    _read(sample, data.draw(st.integers(1, len(sample.content) + 1)), fractions, block_bytes)


@pytest.mark.slow
@settings(deadline=None, max_examples=5, suppress_health_check=_ANY)
@given(samples, fractions, st.sampled_from([1, 7, 1 << 15]))
def test_every_range_size_accounts_for_every_row(
    sample: Sample, fractions: list[float], block_bytes: int
) -> None:
    for range_bytes in range(1, len(sample.content) + 2):
        _read(sample, range_bytes, fractions, block_bytes)
