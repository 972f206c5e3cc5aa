"""What is decoded without Beam is what Beam's own coders decode, whatever the bytes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import pytest
from apache_beam import coders
from apache_beam.portability.api import schema_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_obs.records.data_coders import ROW
from beam_obs.records.payload import coder_name, decode_payload, portable_coder
from beam_obs.records.plain_payload import Decoder, NeedsBeam, decode_plainly, decoder_of_portable
from beam_obs.records.portable_coder import PortableCoder, parse_portable

TEXT = st.text(max_size=9)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXT | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3) | st.tuples(inner, inner)
    ),
    max_leaves=6,
)
LEAVES: list[tuple[coders.Coder, st.SearchStrategy[Any]]] = [
    (coders.BytesCoder(), st.binary(max_size=200)),
    (coders.StrUtf8Coder(), TEXT),
    (coders.VarIntCoder(), st.integers(-(2**63), 2**63 - 1)),
    (coders.BooleanCoder(), st.booleans()),
    (coders.FloatCoder(), st.floats()),
    (coders.FastPrimitivesCoder(), PLAIN),
    (coders.coders.BigIntegerCoder(), st.integers()),
    (coders.coders.DecimalCoder(), st.decimals(-(10**9), 10**9, places=3)),
    (coders.coders.SinglePrecisionFloatCoder(), st.floats(width=32)),
    (coders.coders.BigEndianShortCoder(), st.integers(-(2**15), 2**15 - 1)),
    (coders.coders.VarInt32Coder(), st.integers(-(2**31), 2**31 - 1)),
]


def compounds(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def of_one(pair: Any) -> list[Any]:
        coder, values = pair
        some = st.lists(values, max_size=3)
        return [
            (coders.IterableCoder(coder), some),
            (coders.coders.ListCoder(coder), some),
            (coders.NullableCoder(coder), st.none() | values),
            (coders.coders.LengthPrefixCoder(coder), values),
            (coders.coders.TupleSequenceCoder(coder), some.map(tuple)),
            (
                coders.coders.MapCoder(coders.StrUtf8Coder(), coder),
                st.dictionaries(TEXT, values, max_size=3),
            ),
        ]

    def of_many(pairs: Any) -> Any:
        return coders.TupleCoder([coder for coder, _ in pairs]), st.tuples(*(values for _, values in pairs))

    return inner.map(of_one).flatmap(st.sampled_from) | st.lists(inner, min_size=1, max_size=4).map(of_many)


CODERS = st.recursive(st.sampled_from(LEAVES), compounds, max_leaves=4)

ATOMIC = {
    schema_pb2.INT16: st.integers(-(2**15), 2**15 - 1),
    schema_pb2.INT32: st.integers(-(2**31), 2**31 - 1),
    schema_pb2.INT64: st.integers(-(2**63), 2**63 - 1),
    schema_pb2.FLOAT: st.floats(width=32),
    schema_pb2.DOUBLE: st.floats(),
    schema_pb2.STRING: TEXT,
    schema_pb2.BOOLEAN: st.booleans(),
    schema_pb2.BYTES: st.binary(max_size=9),
}
TYPES = st.recursive(
    st.builds(
        lambda atomic, null: schema_pb2.FieldType(atomic_type=atomic, nullable=null),
        st.sampled_from(list(ATOMIC)),
        st.booleans(),
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda one, null: schema_pb2.FieldType(
                array_type=schema_pb2.ArrayType(element_type=one), nullable=null
            ),
            inner,
            st.booleans(),
        ),
        inner.map(
            lambda one: schema_pb2.FieldType(
                map_type=schema_pb2.MapType(
                    key_type=schema_pb2.FieldType(atomic_type=schema_pb2.STRING), value_type=one
                )
            )
        ),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda types: schema_pb2.FieldType(row_type=schema_pb2.RowType(schema=schema_of(types)))
        ),
    ),
    max_leaves=5,
)


def schema_of(types: list[Any]) -> Any:
    """A schema of fields of these types; its id is the same for the same types, as Beam wants it."""
    fields = [
        schema_pb2.Field(name=f"f{number}", type=each, id=number, encoding_position=number)
        for number, each in enumerate(types)
    ]
    made = schema_pb2.Schema(fields=fields)
    made.id = f"test-{made.SerializeToString().hex()}"
    return made


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    form = kind.WhichOneof("type_info")
    if form == "atomic_type":
        values = ATOMIC[kind.atomic_type]
    elif form == "array_type":
        values = st.lists(values_of(kind.array_type.element_type), max_size=3)
    elif form == "map_type":
        values = st.dictionaries(TEXT, values_of(kind.map_type.value_type), max_size=3)
    else:
        values = rows_of(kind.row_type.schema)
    return st.none() | values if kind.nullable else values


def rows_of(schema: Any) -> st.SearchStrategy[Any]:
    row = coders.RowCoder(schema).to_type_hint()
    return st.tuples(*(values_of(field.type) for field in schema.fields)).map(lambda values: row(*values))


ROWS = (
    st.lists(TYPES, max_size=10).map(schema_of).map(lambda schema: (coders.RowCoder(schema), rows_of(schema)))
)


def decoder(coder: coders.Coder) -> Decoder:
    return decoder_of_portable(parse_portable(portable_coder(coder), ROW))


@settings(deadline=None, max_examples=200)
@given(CODERS.flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])), st.binary(max_size=3))
def test_what_a_coder_wrote_is_decoded_as_it_decodes_it(pair: Any, noise: bytes) -> None:
    coder, value = pair
    payload, name = coder.encode(value), coder_name(coder)
    assert repr(decode_payload(payload, name)) == repr(coder.decode(payload))
    for damaged in (payload + noise, payload[: len(payload) // 2] + noise):
        try:
            found = decode_payload(damaged, name)
        except ValueError:  # Beam's compiled coders read on behind the end, and may end the process by it
            continue
        assert repr(found) == repr(coder.decode(damaged))


@settings(deadline=None, max_examples=150)
@given(ROWS.flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])), st.booleans())
@pytest.mark.slow
def test_a_row_is_decoded_by_its_schema_alone(pair: Any, is_within: bool) -> None:
    coder, row = pair
    whole, value = (
        (coders.TupleCoder([coders.StrUtf8Coder(), coder]), ("k", row)) if is_within else (coder, row)
    )
    payload = whole.encode(value)
    found = decode_plainly(payload, decoder(whole))
    assert repr(found) == repr(whole.decode(payload))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_coder_are_refused(content: bytes) -> None:
    try:
        found = parse_portable(content, ROW)
    except ValueError:
        return
    assert isinstance(found, PortableCoder)


class Place(NamedTuple):
    x: Any


def test_a_row_of_what_is_not_plain_is_left_to_beam() -> None:
    coder = coders.RowCoder.from_type_hint(Place, None)
    with pytest.raises(NeedsBeam):
        decoder(coder)


def test_fields_that_are_encoded_in_another_order_are_left_to_beam() -> None:
    schema = schema_of([schema_pb2.FieldType(atomic_type=schema_pb2.INT64)] * 2)
    schema.encoding_positions_set = True
    schema.fields[0].encoding_position, schema.fields[1].encoding_position = 1, 0
    with pytest.raises(NeedsBeam):
        decoder(coders.RowCoder(schema))


def test_beam_is_not_imported_for_what_is_plain() -> None:
    row = coders.RowCoder(schema_of([schema_pb2.FieldType(atomic_type=schema_pb2.STRING)]))
    coder = coders.TupleCoder([coders.StrUtf8Coder(), row])
    payload = coder.encode(("a", row.to_type_hint()("b")))
    program = (
        "import sys; from beam_obs.records.payload import decode_payload; "
        f"print(decode_payload({payload!r}, {coder_name(coder)!r}, {portable_coder(coder)!r})[1].f0); "
        "print('apache_beam' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["b", "False"]
