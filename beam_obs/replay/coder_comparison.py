"""Whether a payload is decoded by what encoded it: the program's coder, held against what the run noted."""

from __future__ import annotations

import base64
from typing import Any

from apache_beam.coders import Coder

from beam_obs.records.data_coders import ROW
from beam_obs.records.payload import coder_name, portable_coder
from beam_obs.records.portable_coder import PortableCoder, SchemaType, parse_portable


def coder_difference(coder: Coder, noted: dict[str, Any]) -> str:
    """Returns how the program's coder of a stage differs from the one that encoded its letters, as a clause;
    nothing where it does not, as far as that can be told.

    Rows are compared by names and types of their fields. Of a coder of the user's own only the name is told.

    Args:
      coder: of the program's pipeline.
      noted: what ``start.json`` says of the stage in its ``coders``.
    """
    name = coder_name(coder)
    if name != noted["coder"]:
        return f"the run encoded by {noted['coder']}, the program has {name}"
    if ROW not in name or not noted.get("portable"):
        return ""
    try:
        before = _form(parse_portable(base64.b64decode(noted["portable"]), ROW))
        now = _form(parse_portable(portable_coder(coder), ROW))
    except ValueError as error:
        return f"the coder that the run noted cannot be read: {error}"
    return "" if before == now else f"its rows had {_told(before)}, and have {_told(now)} in the program"


def _form(coder: PortableCoder) -> tuple[Any, ...]:
    fields: Any = None
    if coder.schema is not None:
        schema = coder.schema
        fields = tuple((name, _type(kind)) for name, kind in zip(schema.fields, schema.types, strict=True))
    return coder.urn, fields, tuple(_form(part) for part in coder.parts)


def _type(kind: SchemaType) -> tuple[Any, ...]:
    inner = tuple(_type(one) for one in kind.inner)
    if kind.schema is not None:
        schema = kind.schema
        inner = tuple((name, _type(one)) for name, one in zip(schema.fields, schema.types, strict=True))
    return kind.kind, kind.is_nullable, inner


def _told(form: tuple[Any, ...]) -> str:
    fields = form[1]
    return ", ".join(f"{name} ({kind[0]})" for name, kind in fields) if fields else "other parts"
