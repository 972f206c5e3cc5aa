"""The assumption that a record can be written with an Avro schema."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from beam_obs.checks.assumption import Assumption, shown_value
from beam_obs.checks.field_path import Field, FieldPath
from beam_obs.records.errors import UsageError


def fits_schema(
    schema: Mapping[str, Any] | list[Any] | str,
    field: Field = (),
    *,
    name: str | None = None,
    allow_none: bool = False,
    allow_missing: bool = False,
) -> Assumption:
    """Assumes that a record, or one of its fields, can be written with an Avro schema.

    Args:
      schema: the schema, as a dict, a list (a union) or JSON text.
      field: the field; the whole record by default.
      name: says what is assumed.
      allow_none: whether a field that is None is passed over.
      allow_missing: whether a field that is not there is.

    Raises:
      UsageError: `schema` is no Avro schema.

    >>> trip = {"type": "record", "name": "Trip", "fields": [{"name": "fare", "type": "double"}]}
    >>> fits_schema(trip).breaks({"fare": "cheap"})[0].expected
    "the Avro schema 'Trip'"
    """
    from fastavro import parse_schema
    from fastavro.validation import validate

    try:
        given = json.loads(schema) if isinstance(schema, str) and schema.strip()[:1] in '{["' else schema
        parsed: Any = parse_schema(given)  # type: ignore[arg-type]
    except Exception as error:
        raise UsageError(
            f"fits_schema got {shown_value(schema)}, which is no Avro schema "
            f"({type(error).__name__}: {error}): "
            'give a dict, as {"type": "record", "name": "Trip", "fields": [...]}, or its JSON text'
        ) from error
    called = parsed.get("name") or parsed.get("type") if isinstance(parsed, dict) else None
    path = FieldPath(field)

    def test(value: Any) -> bool:
        return bool(validate(_as_datum(value), parsed, raise_errors=True))

    return Assumption(
        name or (f"{path} fits_schema" if path.parts else f"fits_schema {called or ''}".strip()),
        (path,) if path.parts else (),
        f"the Avro schema {called!r}" if called else "the Avro schema",
        test,
        "{test}({0})",
        allow_none=allow_none,
        allow_missing=allow_missing,
    )


def _as_datum(value: Any) -> Any:
    """A record as fastavro wants it: a dict."""
    if isinstance(value, Mapping):
        return value
    for method in ("_asdict", "as_dict"):
        if hasattr(value, method):
            return getattr(value, method)()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value
