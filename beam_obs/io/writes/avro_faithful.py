"""Whether Avro records come back from their files as they were given.

fastavro writes what it cannot read (a text that is no UUID), and another value than it is given (1 for 1.5).
So each record is read back from its bytes, unless the types of its values say that it comes back as it is.
"""

from __future__ import annotations

import io
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from beam_obs.io.writes.avro_by_type import encoder_by_type
from beam_obs.io.writes.avro_same import Difference, kind_of, named_types, place_of_difference
from beam_obs.records.bad_input import NotReadBack


class Faithful:
    """Encodes records as Avro, and refuses those that would not come back.

    Args:
      schema: of the records, as fastavro's `parse_schema` gives it.

    Attributes:
      by_type: gives a record's bytes, None where the types of its values do not say that it comes back.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._names = named_types(schema)
        self.by_type = encoder_by_type(schema, self._names)

    def encode(self, record: Any) -> bytes:
        """Returns a record's bytes, without the schema.

        Raises:
          NotReadBack: it cannot be read back from them, or is another then.
          Exception: of fastavro's: it does not fit the schema.
        """
        encoded = self.by_type(record)
        if encoded is not None:
            return encoded
        buffer = io.BytesIO()
        schemaless_writer(buffer, self._schema, record)
        self._check(record, buffer)
        return buffer.getvalue()

    def _check(self, record: Any, written: io.BytesIO) -> None:
        written.seek(0)
        try:
            back = schemaless_reader(written, self._schema)
        except Exception as error:
            if isinstance(error, MemoryError):
                raise
            name = self._unreadable_field(record)
            what = "the record" if name is None else f"field {name!r} is {_shown(record[name])}, which"
            kind = type(error).__name__
            raise NotReadBack(
                f"{what} cannot be read back from Avro: {kind}: {error}", name or kind
            ) from None
        place = place_of_difference(self._schema, record, back, self._names)
        if place is not None:
            raise NotReadBack(_difference(place), place.path)

    def _unreadable_field(self, record: Any) -> str | None:
        """Returns the first field of a record that cannot be read back; None where that cannot be told."""
        if kind_of(self._schema)[0] != "record":
            return None
        fields = self._schema["fields"]
        for number, field in enumerate(fields):
            alone = {**self._schema, "fields": fields[: number + 1]}
            for added in ("__fastavro_parsed_schema", "__fastavro_parsed", "__named_schemas"):
                alone.pop(added, None)
            buffer = io.BytesIO()
            try:
                parsed = parse_schema(alone)
                schemaless_writer(buffer, parsed, record)
                buffer.seek(0)
                schemaless_reader(buffer, parsed)
            except Exception:
                return str(field["name"]) if field["name"] in record else None
        return None


def _difference(place: Difference) -> str:
    return (
        f"field {place.path!r} is {_shown(place.given)}, which would come back from Avro as "
        f"{_shown(place.back)}"
        if place.path
        else f"{_shown(place.given)} would come back from Avro as {_shown(place.back)}"
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
