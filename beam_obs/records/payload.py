"""Elements as bytes, for the payload of a dead letter, and as text for people.

The name of the coder says how the bytes are decoded: the URNs of Beam's standard coders nested in
brackets, ``python:Name`` for a coder of Beam's Python SDK that needs no code of the pipeline, any
other class by its full name (the portable coder itself is then kept once per stage in the run),
``pickle`` or ``repr`` where the coder refused the element, ``raw`` for bytes as read, ``none``.
"""

from __future__ import annotations

import contextlib
import json
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from beam_obs.records.data_coders import (
    PYTHON,
    ROW,
    STANDARD,
    TUPLES,
    MayRunCode,
    check_length,
    is_data_only,
    primitives_coder,
)
from beam_obs.records.dead_letter import PAYLOAD_TEXT_LIMIT
from beam_obs.records.plain_payload import (
    Decoder,
    NeedsBeam,
    decode_plainly,
    decoder_by_name,
    decoder_of_portable,
)
from beam_obs.records.portable_coder import parse_portable
from beam_obs.records.public_names import former_homes
from beam_obs.records.record_content import DEEPEST, written_alike

if TYPE_CHECKING:
    from apache_beam.coders import Coder

_LONGEST_NAME = 2000
_Made = TypeVar("_Made")

_PYTHON_COMPOSITES = {
    "DeterministicMapCoder": ("_key_coder", "_value_coder"),
    "ListCoder": ("_elem_coder",),
    "MapCoder": ("_key_coder", "_value_coder"),
    "TupleSequenceCoder": ("_elem_coder",),
}
_PYTHON_CODERS = (
    "BigEndianShortCoder",
    "BigIntegerCoder",
    "ByteCoder",
    "CloudpickleCoder",
    "DecimalCoder",
    "FakeDeterministicFastPrimitivesCoder",
    "FastPrimitivesCoder",
    "PickleCoder",
    "SinglePrecisionFloatCoder",
    "TimestampCoder",
    "VarInt32Coder",
)


def coder_name(coder: Coder) -> str:
    """Returns the name under which a payload made by `coder` is kept.

    >>> from apache_beam import coders
    >>> coder_name(coders.TupleCoder([coders.StrUtf8Coder(), coders.VarIntCoder()]))
    'beam:coder:kv:v1(beam:coder:string_utf8:v1,beam:coder:varint:v1)'
    >>> coder_name(coders.FastPrimitivesCoder())
    'python:FastPrimitivesCoder'
    """
    from apache_beam.coders import coders
    from apache_beam.runners.pipeline_context import PipelineContext

    name = type(coder).__name__
    if type(coder).__module__ == coders.__name__ and name in _PYTHON_CODERS:
        return f"python:{name}"
    if type(coder).__module__ == coders.__name__ and name in _PYTHON_COMPOSITES:
        parts = ",".join(coder_name(getattr(coder, part)) for part in _PYTHON_COMPOSITES[name])
        return f"python:{name}({parts})"
    try:
        urn, _, components = coder.to_runner_api_parameter(PipelineContext())
    except Exception:
        return f"{type(coder).__module__}.{name}"
    if not urn.startswith("beam:coder:") or "pickled" in urn:
        return f"{type(coder).__module__}.{name}"
    if urn == "beam:coder:row:v1":
        return str(urn)
    inner = ",".join(coder_name(component) for component in components)
    return f"{urn}({inner})" if inner else urn


def portable_coder(coder: Coder) -> bytes:
    """Returns the coder as a serialized ``MessageWithComponents`` of Beam's runner API."""
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.pipeline_context import PipelineContext

    context = PipelineContext()
    message = beam_runner_api_pb2.MessageWithComponents()
    message.coder.CopyFrom(context.coders.get_proto_from_id(context.coders.get_id(coder)))
    message.components.CopyFrom(context.to_runner_api())
    return bytes(message.SerializeToString())


def coder_from_portable(serialized: bytes) -> Coder:
    """Returns the coder that `portable_coder` serialized."""
    from apache_beam.coders import Coder
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.pipeline_context import PipelineContext

    message = beam_runner_api_pb2.MessageWithComponents.FromString(serialized)
    return Coder.from_runner_api(message.coder, PipelineContext(message.components))


def encode_payload(element: Any, coder: Coder | None, name: str) -> tuple[bytes, str]:
    """Returns an element's bytes and the name of what made them.

    Args:
      element: any value.
      coder: the coder of its PCollection, or None.
      name: that coder's name.
    """
    if coder is not None:
        try:
            return coder.encode(element), name
        except Exception:
            pass
    try:
        return pickle.dumps(element, protocol=4), "pickle"
    except Exception:
        return _safe_repr(element).encode("utf-8", "backslashreplace"), "repr"


def decode_payload(payload: bytes, name: str, portable: bytes = b"", *, trust_pickles: bool = False) -> Any:
    """Returns the element that `encode_payload` encoded.

    It runs no code that the payload, the name or the portable coder chooses, unless pickles are trusted.

    Args:
      payload: the bytes.
      name: the coder's name.
      portable: the coder as kept in the run, for coders that a name does not give.
      trust_pickles: whether coders may run code, e.g. unpickle: whoever can write to the store chooses it.

    Raises:
      MayRunCode: it cannot be decoded without.
      ValueError: the name does not say how to decode, and no portable coder was given.

    >>> from apache_beam import coders
    >>> decode_payload(*encode_payload({"a": 1}, coders.FastPrimitivesCoder(), "python:FastPrimitivesCoder"))
    {'a': 1}
    """
    if name == "none":
        return None
    if name == "raw":
        return payload
    if name == "repr":
        return payload.decode("utf-8", "replace")
    if trust_pickles:
        with former_homes():
            if name == "pickle":
                return pickle.loads(payload)
            coder = coder_from_portable(portable) if portable else _standard_coder(name, _make_coder)
            return coder.decode(payload)
    check_length(name, payload)
    with contextlib.suppress(NeedsBeam):
        return decode_plainly(payload, _plain_decoder(name, portable))
    try:
        return _data_coder(name, portable).decode(payload)
    except RecursionError:
        raise ValueError("the payload is nested too deep") from None


def _plain_decoder(name: str, portable: bytes) -> Decoder:
    if _is_made_by_name(name, portable):
        return _standard_coder(name, decoder_by_name)
    try:
        return decoder_of_portable(parse_portable(portable, ROW))
    except (ValueError, RecursionError):
        raise NeedsBeam from None


def _is_made_by_name(name: str, portable: bytes) -> bool:
    return not portable or (ROW not in name and name.startswith(("beam:coder:", "python:")))


def _data_coder(name: str, portable: bytes) -> Coder:
    if _is_made_by_name(name, portable):
        return _standard_coder(name, _make_data_coder)
    from apache_beam.portability.api import beam_runner_api_pb2

    if not is_data_only(beam_runner_api_pb2.MessageWithComponents.FromString(portable)):
        raise MayRunCode(name)
    return coder_from_portable(portable)


def payload_text(element: Any) -> str:
    """Returns an element for people to read, at most 4 KiB of UTF-8.

    >>> payload_text({"dep_time": 517, "carrier": "UA"})
    '{"dep_time": 517, "carrier": "UA"}'
    """
    kind = type(element)
    text: str
    if kind is str:
        text = element
    elif kind is bytes:
        text = element[: PAYLOAD_TEXT_LIMIT + 1].decode("utf-8", "backslashreplace")
    elif kind in (dict, list):
        try:
            text = _json_text(element)
        except Exception:
            text = _safe_repr(element)
    else:
        text = _safe_repr(element)
    if len(text) <= PAYLOAD_TEXT_LIMIT and text.isascii():
        return text
    encoded = text[:PAYLOAD_TEXT_LIMIT].encode("utf-8", "backslashreplace")
    if len(encoded) <= PAYLOAD_TEXT_LIMIT and len(text) <= PAYLOAD_TEXT_LIMIT:
        return encoded.decode()
    return encoded[: PAYLOAD_TEXT_LIMIT - 3].decode("utf-8", "ignore") + "..."


def _json_text(element: Any) -> str:
    # The form is json's; orjson takes a third of the time for what both write alike.
    if type(element) is dict and written_alike(element.values(), DEEPEST):
        try:
            # A line for each field: within texts ends of lines are escaped.
            lines = orjson.dumps(element, option=orjson.OPT_INDENT_2).decode()
            return "{" + lines[4:-2].replace(",\n  ", ", ") + "}"
        except TypeError:  # other keys than text, half of a surrogate pair, more than 64 bits
            pass
    return _JSON.encode(element)


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__qualname__}: repr() raised {type(error).__name__}>"


_JSON = json.JSONEncoder(ensure_ascii=False, default=_safe_repr)


def _standard_coder(name: str, make: Callable[[str, list[_Made]], _Made]) -> _Made:
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a coder's name of {len(name):,} letters")
    coder, rest = _parse_coder(name, make)
    if rest:
        raise ValueError(f"cannot read the coder name {name!r} from {rest!r} on")
    return coder


def _parse_coder(text: str, make: Callable[[str, list[_Made]], _Made]) -> tuple[_Made, str]:
    """Returns what is made of the coder that the start of `text` names, and the rest of `text`."""
    end = next((at for at, letter in enumerate(text) if letter in "(),"), len(text))
    name, rest = text[:end], text[end:]
    components: list[_Made] = []
    if rest.startswith("("):
        rest = rest[1:]
        while not rest.startswith(")"):
            component, rest = _parse_coder(rest.removeprefix(","), make)
            components.append(component)
            if not rest:
                raise ValueError(f"a bracket is not closed in the coder name {text!r}")
        rest = rest[1:]
    return make(name, components), rest


def _make_data_coder(name: str, components: list[Coder]) -> Coder:
    kind = name.removeprefix("python:")
    parts = PYTHON.get(kind) if kind != name else STANDARD.get(name)
    if name in TUPLES and components:
        parts = len(components)
    if parts is None and name != ROW:
        raise MayRunCode(name)
    if parts not in (None, len(components)):
        raise ValueError(f"the coder {name!r} has {len(components)} components")
    return primitives_coder() if "FastPrimitives" in kind else _make_coder(name, components)


def _make_coder(name: str, components: list[Coder]) -> Coder:
    from apache_beam import coders
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.pipeline_context import PipelineContext

    if name.startswith("python:"):
        kind = name.removeprefix("python:")
        if kind not in _PYTHON_CODERS and kind not in _PYTHON_COMPOSITES:
            raise ValueError(f"unknown coder {name!r}")
        of_beam: Coder = getattr(coders.coders, kind)(*components)
        return of_beam
    if not name.startswith("beam:coder:") or name == "beam:coder:row:v1":
        raise ValueError(
            f"the payload's coder {name!r} cannot be made from its name: give the portable coder of its run"
        )
    context = PipelineContext()
    proto = beam_runner_api_pb2.Coder(
        spec=beam_runner_api_pb2.FunctionSpec(urn=name),
        component_coder_ids=[context.coders.get_id(component) for component in components],
    )
    return coders.Coder.from_runner_api(proto, context)
