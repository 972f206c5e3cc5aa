"""Records of outputs, read back from the files that sinks wrote: text, CSV, JSON lines, Avro, Parquet.

A record is known in the output index by the digest of its content as it entered the sink. What is read
back may differ from that by what the format does not keep, so a few forms of it are tried.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import glob
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from beam_obs.lineage.numbered_lines import count_lines, start_of_line
from beam_obs.lineage.opened_files import FileGone, FileNotShown, read_content
from beam_obs.lineage.readable_files import NotReadable, readable_files
from beam_obs.records.errors import BeamObsError, MissingExtra, UsageError
from beam_obs.records.lineage_attributes import LINEAGE_FIELD
from beam_obs.records.number_text import counted
from beam_obs.records.record_content import output_digest, record_content
from beam_obs.store.filesystems import filesystems
from beam_obs.store.folder import is_local, local_path

TEXT, CSV, JSON, AVRO, PARQUET = "text", "CSV", "JSON lines", "Avro", "Parquet"
GIVEN = "a record handed over"

_COMPRESSED = re.compile(r"\.(gz|bz2|xz|lzma|deflate|zst|zstd)$", re.IGNORECASE)
_WRITTEN_OTHERWISE = frozenset({b"null", b"true", b"false", b"nan", b"none"})
_EXTENSIONS = {
    ".csv": CSV,
    ".tsv": CSV,
    ".json": JSON,
    ".jsonl": JSON,
    ".ndjson": JSON,
    ".avro": AVRO,
    ".parquet": PARQUET,
}


class NoSuchRecord(BeamObsError):
    """An output has no such record.

    Args:
      message: what was asked and what there is.
    """


@dataclasses.dataclass(frozen=True)
class OutputRecord:
    """A record of an output.

    Args:
      file: its file.
      number: of its line, or of the record in files of blocks; from 1; 0 where it is of no file.
      format: one of the names above.
      text: the record for people.
      fields: by name; None for text.
      digests: of the forms that it may have had as it entered the sink, the likeliest first.
    """

    file: str
    number: int
    format: str
    text: str
    fields: dict[str, Any] | None
    digests: tuple[bytes, ...]

    @property
    def stamp(self) -> dict[str, Any] | None:
        """The lineage attributes that it was stamped with."""
        stamp = (self.fields or {}).get(LINEAGE_FIELD)
        return stamp if isinstance(stamp, dict) and isinstance(stamp.get("origin"), str) else None


def files_of(output: str) -> list[str]:
    """Returns the files that an output names: a file, a pattern, or the prefix that a sink was given.

    Raises:
      FileGone: there are none.
      FileNotShown: they may not be read here.
    """
    allowed = readable_files()
    if allowed is not None:
        try:
            if is_local(output):
                allowed.check_pattern(local_path(output))
            else:
                allowed.check_object(output)
        except NotReadable as error:
            raise FileNotShown(output, str(error)) from None
    if is_local(output):
        path = local_path(output)
        if os.path.isfile(path):
            return [path]
        found = glob.glob(path) or glob.glob(f"{glob.escape(path)}*")
        if os.path.isdir(path):
            found = [os.path.join(path, name) for name in os.listdir(path)]
        files = sorted(name for name in found if os.path.isfile(name))
    else:
        matched = filesystems().match([output, f"{output}*"])
        files = sorted({one.path for result in matched for one in result.metadata_list})
    if not files:
        origin = ""
        if re.fullmatch("[0-9a-fA-F]{6,31}", output):
            origin = f"; an origin is given by its 32 hex digits, and these are {len(output)}"
        raise FileGone(output, f"there is no such file, and none that begins so{origin}")
    return files


def record_at(file: str, number: int) -> OutputRecord:
    """Returns a record of a file.

    Args:
      file: the file.
      number: of the line, or of the record in files of blocks; from 1.

    Raises:
      NoSuchRecord: there are not so many.
      FileGone: the file cannot be read.
    """
    content = read_content(file)
    format = format_of(file, content)
    if format in (AVRO, PARQUET):
        reader = _avro_records if format == AVRO else _parquet_records
        total = 0
        for record in reader(file, content, None, number):
            if record.number == number:
                return record
            total = record.number
        raise NoSuchRecord(f"{file} has {counted(total, 'record')}, and no record {number:,}")
    start = start_of_line(content, number)
    if start is None:
        raise NoSuchRecord(f"{file} has {counted(count_lines(content), 'line')}, and no line {number:,}")
    end = content.find(b"\n", start)
    return _line_record(file, number, content[start : len(content) if end < 0 else end], format, content)


def only_record(file: str) -> OutputRecord:
    """Returns the record of a file that has but one.

    Raises:
      UsageError: it has more.
    """
    first = record_at(file, 1)
    try:
        record_at(file, 2)
    except NoSuchRecord:
        return first
    raise UsageError(
        f"{file} has several records: say which, {file}:N; "
        f"`beam-obs why {file} --match FIELD=VALUE` finds one"
    )


def matching_records(files: list[str], wanted: dict[str, str]) -> Iterator[OutputRecord]:
    """Gives the records of files whose fields have these values, compared as text.

    Args:
      files: the files.
      wanted: value by name of the field; ``a.b`` is the field b of the record in field a.

    Raises:
      UsageError: a file has no fields.
    """
    for file in files:
        content = read_content(file)
        format = format_of(file, content)
        if format == AVRO:
            found = _avro_records(file, content, wanted, None)
        elif format == PARQUET:
            found = _parquet_records(file, content, wanted, None)
        elif format == TEXT:
            raise UsageError(
                f"{file} is text, and has no fields: give the number of the line, {file}:N "
                "(`grep -n` tells it)"
            )
        else:
            found = _matching_lines(file, content, format, wanted)
        yield from (record for record in found if has(record.fields or {}, wanted))


def has(fields: dict[str, Any], wanted: dict[str, str]) -> bool:
    """Returns whether a record has these values.

    >>> has({"carrier": "UA", "delay": 1.5, "to": {"airport": "EWR"}}, {"delay": "1.5", "to.airport": "EWR"})
    True
    """
    return all(_is(_field(fields, name), value) for name, value in wanted.items())


def check_fields(record: OutputRecord, wanted: dict[str, str]) -> None:
    """Raises a UsageError where a record has no such fields."""
    for name in wanted:
        if _field(record.fields or {}, name) is _MISSING:
            known = ", ".join(map(str, record.fields or {}))
            raise UsageError(f"{record.file} has no field {name!r}; it has {known}")


def format_of(file: str, content: bytes) -> str:
    """Returns what a file holds: by its extension, else by how it begins."""
    if content.startswith(b"Obj\x01"):
        return AVRO
    if content.startswith(b"PAR1"):
        return PARQUET
    extension = os.path.splitext(_COMPRESSED.sub("", file))[1].lower()
    found = _EXTENSIONS.get(extension, TEXT)
    if found == TEXT and content.lstrip()[:1] == b"{":
        return JSON
    return TEXT if found in (AVRO, PARQUET) else found


_MISSING: Any = object()


def _field(fields: Any, name: str) -> Any:
    if isinstance(fields, dict):
        if name in fields:
            return fields[name]
        first, _, rest = name.partition(".")
        if rest and first in fields:
            return _field(fields[first], rest)
    return _MISSING


def _is(value: Any, wanted: str) -> bool:
    if value is _MISSING:
        return False
    if str(value) == wanted or (value is None and wanted in ("", "null")):
        return True
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, (int, float)):
        try:
            return float(wanted) == value
        except ValueError:
            return False
    return False


# Lines.


def _line_record(file: str, number: int, line: bytes, format: str, content: bytes) -> OutputRecord:
    line_without = line[:-1] if line.endswith(b"\r") else line
    fields: dict[str, Any] | None = None
    text = line_without.decode("utf-8", "backslashreplace")
    if format == JSON:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        fields = value if isinstance(value, dict) else None
    elif format == CSV:
        names = _csv_names(file, content[: content.find(b"\n") + 1 or len(content)])
        values = next(csv.reader([text], delimiter=_delimiter(file)), [])
        if number > 1 and len(values) == len(names):
            fields = dict(zip(names, values, strict=True))
    forms = [line, line_without]
    if fields is not None and format == JSON:
        forms.extend(record_forms(fields))
    return OutputRecord(file, number, format, text, fields, _digests(forms))


@functools.lru_cache(maxsize=16)
def _csv_names(file: str, line: bytes) -> tuple[str, ...]:
    text = line.decode("utf-8-sig", "backslashreplace").rstrip("\r\n")
    return tuple(next(csv.reader([text], delimiter=_delimiter(file)), []))


def _delimiter(file: str) -> str:
    return "\t" if _COMPRESSED.sub("", file).lower().endswith(".tsv") else ","


def _matching_lines(file: str, content: bytes, format: str, wanted: dict[str, str]) -> Iterator[OutputRecord]:
    """Gives lines that may match: those that have the text of a value in them, where it is plain."""
    # Numbers may be written in another way than they are asked for.
    texts = [value.encode() for value in wanted.values() if value.isascii() and value.isalnum()]
    rare = max((text for text in texts if text.isalpha() or not _is_number(text)), key=len, default=None)
    if not wanted or rare is None or rare.lower() in _WRITTEN_OTHERWISE:
        for number, line in enumerate(content.split(b"\n"), 1):
            if line:
                yield _line_record(file, number, line, format, content)
        return
    at, number, counted = content.find(rare), 1, 0
    while at >= 0:
        start = content.rfind(b"\n", 0, at) + 1
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        number += content.count(b"\n", counted, start)
        counted = start
        yield _line_record(file, number, content[start:end], format, content)
        at = content.find(rare, end)


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# Files of blocks.


def _avro_records(
    file: str, content: bytes, wanted: dict[str, str] | None, only: int | None
) -> Iterator[OutputRecord]:
    """Gives records one by one; where one is asked for by number, only those of its block."""
    from fastavro import block_reader, parse_schema, schemaless_reader

    blocks: Any = block_reader(io.BytesIO(content))
    schema: Any = parse_schema(blocks.writer_schema)
    number = 0
    for block in blocks:
        if only is not None and only > number + block.num_records:
            number += block.num_records
            continue
        rows = io.BytesIO(block.bytes_.getvalue())
        for _ in range(block.num_records):
            start = rows.tell()
            fields: Any = schemaless_reader(rows, schema, None)
            number += 1
            if (only is None and (wanted is None or has(_named(fields), wanted))) or only == number:
                raw = rows.getbuffer()[start : rows.tell()].tobytes()
                yield _value_record(file, number, AVRO, fields, raw)
    if only is not None and number < only:
        yield OutputRecord(file, number, AVRO, "", None, ())


def _parquet_records(
    file: str, content: bytes, wanted: dict[str, str] | None, only: int | None
) -> Iterator[OutputRecord]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("Parquet", "parquet") from None
    number = 0
    for batch in pyarrow.parquet.ParquetFile(io.BytesIO(content)).iter_batches(10_000, use_threads=False):
        if only is not None:
            if number < only <= number + batch.num_rows:
                fields = batch.slice(only - number - 1, 1).to_pylist()[0]
                yield _value_record(file, only, PARQUET, fields, None)
                return
            number += batch.num_rows
            continue
        for fields in batch.to_pylist():
            number += 1
            if wanted is None or has(fields, wanted):
                yield _value_record(file, number, PARQUET, fields, None)
    if only is not None:
        yield OutputRecord(file, number, PARQUET, "", None, ())


def _named(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}


def _value_record(file: str, number: int, format: str, value: Any, raw: bytes | None) -> OutputRecord:
    text = json.dumps(value, ensure_ascii=False, default=str)
    forms = [] if raw is None else [raw]
    forms.extend(record_forms(value))
    return OutputRecord(file, number, format, text, _named(value), _digests(forms))


def record_forms(value: Any) -> Iterator[bytes]:
    """Gives the contents that a record may have had before a format took away what it does not keep.

    >>> [form.decode() for form in record_forms({"a": 1.0, "b": None})]
    ['{"a":1.0,"b":null}', '{"a":1.0}', '{"a":1,"b":null}', '{"a":1}']
    """
    changes: tuple[Callable[[Any], Any], ...] = (
        lambda one: one,
        _without_none,
        _with_integers,
        lambda one: _with_integers(_without_none(one)),
    )
    seen = set()
    for change in changes:
        content = record_content(change(value))
        if content not in seen:
            seen.add(content)
            yield content


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _digests(forms: list[bytes]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(output_digest(form) for form in forms))
