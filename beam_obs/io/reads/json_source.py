"""ReadFromJson: JSON lines as dicts or typed records, each with its place in its file."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.io.lines.file_head import FileHead, HeadReader
from beam_obs.io.lines.json_keys import check_keys
from beam_obs.io.lines.line_encoding import line_encoding
from beam_obs.io.lines.parsed_lines import LineParser, MadeRecords
from beam_obs.io.lines.read_lines import RecordFormat
from beam_obs.io.lines.text_lines import TextParser
from beam_obs.io.lines.typed_records import check_room
from beam_obs.io.reads.file_read import FileRead
from beam_obs.io.reads.typed_values import ValueMaker, stamped
from beam_obs.records.bad_input import BadInput, NotJson
from beam_obs.records.errors import UsageError
from beam_obs.records.lineage_attributes import LineageAttributes
from beam_obs.wrapper.redaction import Redact

DUPLICATE_KEYS = ("refuse", "last")


class ReadFromJson(FileRead):
    """Reads files of JSON lines: one object on each line.

    A line that is not text, not JSON (NaN and infinities are not), no object, that has a key twice, or that
    does not fit the record's types becomes a dead letter with its bytes, file and offset; the lines around it
    are read. Where dead letters have no home, the first of them fails the job. Blank lines are left out.

    Args:
      file_pattern: path or pattern on any Beam filesystem.
      record: what objects become: ``dict``, a NamedTuple class, or a dataclass. A value must be of its
        field's type (str, int, float, bool, Any, list, dict, a NamedTuple, a dataclass), or text of which
        a Decimal, date, datetime, time or Enum can be made, or null for an Optional field. Keys without a
        field are left out.
      duplicate_keys: ``"refuse"`` an object that has a key more than once, or take its ``"last"`` value as
        `json.loads` does.
      encoding: any text encoding of Python's in which lines can be found. A byte order mark is left
        out; UTF-16 and UTF-32 are not split.
      compression_type: one of Beam's `CompressionTypes`; by the file's extension by default.
        Compressed files are not split.
      min_bundle_size: bytes; no range to begin with is smaller.
      desired_bundle_size: bytes of the ranges to begin with; a runner may split them further.
      validate: whether a pattern that finds nothing is an error when the pipeline is built.
      stamp: whether each record gets its lineage attributes: key ``_lineage`` of a dict, in place of one
        that is there, or field ``_lineage`` of a dataclass.
      on_bad_file: ``"dead_letter"`` or ``"fail"``, for compressed files that are damaged: what stood
        before the damage is read in either case.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: names of keys whose values stay out of the dead letters, or a function that gives an object's
        redacted form; a line that is no object is left out whole.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: arguments do not fit together.
      NoFilesFound: the pattern finds nothing.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> _ = pathlib.Path("delays.jsonl").write_text('{"carrier": "UA", "delay": 11}\\n{"carrier": \\n')
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     records, dead = p | obs.ReadFromJson("delays.jsonl").with_dead_letters()
    ...     _ = records | "records" >> beam.Map(print)
    ...     _ = dead | "dead" >> beam.Map(lambda letter: print(letter.position, letter.error_message))
    {'carrier': 'UA', 'delay': 11}
    31 not JSON: Expecting value at character 12
    """

    def __init__(
        self,
        file_pattern: Any,
        record: type = dict,
        *,
        duplicate_keys: str = "refuse",
        encoding: str = "utf-8",
        compression_type: str = CompressionTypes.AUTO,
        min_bundle_size: int = 0,
        desired_bundle_size: int = 1 << 26,
        validate: bool = True,
        stamp: bool = False,
        on_bad_file: str = "dead_letter",
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__(
            file_pattern,
            min_bundle_size=min_bundle_size,
            desired_bundle_size=desired_bundle_size,
            compression_type=compression_type,
            validate=validate,
            stamp=stamp,
            on_bad_file=on_bad_file,
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
        )
        if duplicate_keys not in DUPLICATE_KEYS:
            raise UsageError(
                f"duplicate_keys={duplicate_keys!r}: give one of {', '.join(map(repr, DUPLICATE_KEYS))}"
            )
        if stamp:
            check_room(record)
        self._splittable = line_encoding(encoding)[0].splittable
        self._record = record
        self._json = _JsonFormat(
            encoding, None if record is dict else ValueMaker(record), duplicate_keys == "refuse"
        )

    def _format(self) -> RecordFormat:
        return self._json

    def _can_split(self) -> bool:
        return self._splittable

    def _element_type(self) -> Any:
        return dict[str, Any] if self._record is dict else self._record


class _JsonFormat(RecordFormat):
    def __init__(self, encoding: str, maker: ValueMaker | None, unique_keys: bool) -> None:
        self._heads = HeadReader(encoding)
        self._maker = maker
        self._unique_keys = unique_keys

    @property
    def heads(self) -> HeadReader:
        return self._heads

    def parser(self, head: FileHead) -> LineParser:
        return TextParser(head.encoding)

    def records(
        self, rows: list[Any], head: FileHead, lineage: Sequence[LineageAttributes] | None
    ) -> MadeRecords:
        make = stamped if self._maker is None else self._maker.make
        as_it_is = self._maker is None and lineage is None
        records: list[Any] = []
        refused: list[tuple[int, BadInput]] = []
        blank: list[int] = []
        add, unique_keys = records.append, self._unique_keys
        for number, line in enumerate(rows):
            if not line or line.isspace():
                blank.append(number)
                continue
            try:
                values = object_in_line(line, unique_keys)
                add(values if as_it_is else make(values, None if lineage is None else lineage[number]))
            except BadInput as error:
                refused.append((number, error))
        return MadeRecords(records, refused, blank)

    def taken_apart(self, row: Any, head: FileHead) -> dict[str, Any] | None:
        try:
            return object_in_line(row, self._unique_keys)
        except BadInput:
            return None


def object_in_line(line: str, unique_keys: bool = True) -> dict[str, Any]:
    """Returns the JSON object that a line holds.

    Args:
      line: the line.
      unique_keys: whether an object with a key more than once is refused.

    Raises:
      NotJson: it holds none.
      DuplicateKey: an object has a key more than once.

    >>> object_in_line('{"delay": NaN}')
    Traceback (most recent call last):
    ...
    beam_obs.NotJson: not JSON: it has no form for NaN
    """
    try:
        value, end = _scan(line, 0)
        if end < len(line):
            # White space around the value, or something behind it.
            value = _DECODER.decode(line)
    except StopIteration:
        value = _decode(line)
    except (ValueError, RecursionError) as error:
        raise _not_json(error, line) from None
    if type(value) is not dict:
        hint = _hint(line) if type(value) is list else ""
        raise NotJson(f"the line is {_NAMES[type(value)]}, expected an object{hint}", "no object")
    # As many colons as keys, the least that there can be: most lines are known to be sound by that.
    if unique_keys and line.count(":") != len(value):
        check_keys(line, value)
    if "\\ud" in line or "\\uD" in line:
        _check_surrogates(line, value)
    return value


def _decode(line: str) -> Any:
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError) as error:
        raise _not_json(error, line) from None


def _not_json(error: Exception, line: str) -> NotJson:
    if isinstance(error, json.JSONDecodeError):
        return NotJson(f"not JSON: {error.msg} at character {error.pos}{_hint(line)}", error.msg)
    if isinstance(error, RecursionError):
        return NotJson("its values are nested too deep to be read", "nested too deep")
    if isinstance(error, _NoForm):
        return NotJson(f"not JSON: {error}", str(error).partition(":")[0])
    return NotJson(f"it has a number that cannot be read: {error}", "number")


def _hint(line: str) -> str:
    """Returns what to do about a line where a file seems to be one list, or to have objects of many lines."""
    text = line.strip()
    if text.startswith("[") or text in ("]", "],") or text.endswith("},"):
        return "; a file that is one JSON list becomes JSON lines by: jq -c '.[]'"
    if text in ("{", "}") or (text.startswith("{") and text.endswith((",", "{", "["))):
        return "; objects of several lines become JSON lines by: jq -c ."
    return ""


def _check_surrogates(line: str, value: dict[str, Any]) -> None:
    # A coder of Beam's would fail on them, where nothing can be refused any more.
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        found = ascii(error.object[error.start : error.end])
        raise NotJson(f"half of a surrogate pair stands alone: {found}", "surrogate") from None


class _NoForm(ValueError):
    pass


def _no_form(constant: str) -> Any:
    raise _NoForm(f"it has no form for {constant}")


def _finite(text: str, read: type[float] = float, largest: float = sys.float_info.max) -> float:
    # Called for each number with a point or an exponent; names of its own are the fastest to look up.
    number = read(text)
    if -largest <= number <= largest:
        return number
    raise _NoForm(f"it has a number beyond what a float holds: {text[:40]}")


_DECODER = json.JSONDecoder(parse_constant=_no_form, parse_float=_finite)
# Half the time of `decode`, which looks for white space on both sides.
_scan = _DECODER.scan_once  # type: ignore[attr-defined]
_NAMES = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
