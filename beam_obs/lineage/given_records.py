"""Records that a person hands over: of sinks that cannot be read back here, tables and topics.

A run keeps of each record a digest and its origin, not its fields, so the whole record is needed. What a
client prints of it may differ from what was written: BigQuery's gives all values as text, Pub/Sub's gives
data in base64. So a few forms of it are tried.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from beam_obs.lineage.output_records import GIVEN, OutputRecord, record_forms
from beam_obs.records.lineage_attributes import ATTRIBUTE_PREFIX, LINEAGE_FIELD
from beam_obs.records.record_content import output_digest

_MOST_DOUBTFUL = 10
"""Of so many fields all readings are tried together: 2^10; of more, all as text and all as values."""


def given_records(target: str, content: bytes) -> list[OutputRecord]:
    """Returns the records that were handed over.

    Args:
      target: the sink that they are of.
      content: JSON: an object, a list of them, or one on each line; or, where it is none, one record as it
        was written.

    >>> [record.fields for record in given_records("bigquery:p.d.t", b'[{"n": "1"}]')]
    [{'n': '1'}]
    """
    values = _values(content)
    if values is None:
        text = content.decode("utf-8", "backslashreplace")
        forms = dict.fromkeys((content, content.removesuffix(b"\n"), content.removesuffix(b"\r\n")))
        return [OutputRecord(target, 0, GIVEN, text.rstrip("\r\n"), None, _digests(forms))]
    return [_record(target, value) for value in values]


def record_of_fields(target: str, fields: Mapping[str, str]) -> OutputRecord:
    """Returns the record that has these fields, as text, and no others."""
    return _record(target, dict(fields))


def _values(content: bytes) -> list[dict[str, Any]] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # what is nested too deep is no record
        try:
            value = [json.loads(line) for line in content.splitlines() if line.strip()]
        except (ValueError, RecursionError):  # what is nested too deep is no record
            return None
    values = value if isinstance(value, list) else [value]
    return values if values and all(isinstance(one, dict) for one in values) else None


def _record(target: str, fields: dict[str, Any]) -> OutputRecord:
    text = json.dumps(fields, ensure_ascii=False)
    message = fields.get("message", fields)
    data = _data_of(message)
    if data is None:
        return OutputRecord(target, 0, GIVEN, text, fields, _digests(_forms(fields)))
    attributes = message.get("attributes") or {}
    stamp = {
        name.removeprefix(ATTRIBUTE_PREFIX): value
        for name, value in attributes.items()
        if name.startswith(ATTRIBUTE_PREFIX)
    }
    shown = {**fields, **({LINEAGE_FIELD: stamp} if stamp else {})}
    return OutputRecord(target, 0, GIVEN, text, shown, _digests([data, *_forms(fields)]))


def _data_of(message: Any) -> bytes | None:
    """Returns the data of a Pub/Sub message as its clients print one."""
    if not isinstance(message, dict) or not isinstance(message.get("data"), str):
        return None
    if not isinstance(message.get("attributes") or {}, dict):
        return None
    try:
        return base64.b64decode(message["data"], validate=True)
    except (binascii.Error, ValueError):
        return None


def _forms(fields: dict[str, Any]) -> Iterator[bytes]:
    """Gives the contents that a record may have had, with values read from text where they can be."""
    read = {name: _read(value) for name, value in fields.items()}
    doubtful = [name for name, value in fields.items() if type(read[name]) is not type(value)]
    choices = [(True,) * len(doubtful), (False,) * len(doubtful)]
    if len(doubtful) <= _MOST_DOUBTFUL:
        choices = list(itertools.product((True, False), repeat=len(doubtful)))
    for choice in choices:
        chosen = {name: read[name] for name, is_read in zip(doubtful, choice, strict=True) if is_read}
        yield from record_forms({**fields, **chosen})


def _read(value: Any) -> Any:
    """Returns what text may stand for: a number, a boolean or nothing.

    >>> _read("7"), _read("true"), _read("007"), _read("1.50"), _read("x")
    (7, True, '007', 1.5, 'x')
    """
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):  # what is nested too deep is no record
        return value
    return found if found is None or isinstance(found, (int, float)) else value


def _digests(forms: Any) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(output_digest(form) for form in forms))
