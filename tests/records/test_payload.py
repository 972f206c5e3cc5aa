"""A payload gives the element back, its text is for people."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from decimal import Decimal
from typing import Any, NamedTuple

import apache_beam as beam
import pytest
from apache_beam import coders
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_obs.records.data_coders import MayRunCode
from beam_obs.records.dead_letter import PAYLOAD_TEXT_LIMIT
from beam_obs.records.payload import (
    coder_from_portable,
    coder_name,
    decode_payload,
    encode_payload,
    payload_text,
    portable_coder,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=20)
TIMES = st.integers(MIN_TIMESTAMP.micros // 1000, MAX_TIMESTAMP.micros // 1000).map(
    lambda millis: Timestamp(micros=millis * 1000)
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXT, inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(TEXT, max_size=3)
    ),
    max_leaves=8,
)

LEAVES: list[tuple[coders.Coder, st.SearchStrategy[Any]]] = [
    (coders.BytesCoder(), st.binary(max_size=50)),
    (coders.StrUtf8Coder(), TEXT),
    (coders.VarIntCoder(), INT64),
    (coders.BooleanCoder(), st.booleans()),
    (coders.FloatCoder(), st.floats(allow_nan=False)),
    (coders.coders.TimestampCoder(), TIMES),
    (coders.FastPrimitivesCoder(), ANYTHING),
    (coders.PickleCoder(), ANYTHING),
    (coders.coders.BigIntegerCoder(), st.integers()),
    (coders.coders.DecimalCoder(), st.decimals(-(10**9), 10**9, places=3)),
    (coders.coders.SinglePrecisionFloatCoder(), st.floats(width=32, allow_nan=False)),
    (coders.coders.BigEndianShortCoder(), st.integers(-(2**15), 2**15 - 1)),
    (coders.coders.GlobalWindowCoder(), st.just(GlobalWindow())),
    (
        coders.coders.IntervalWindowCoder(),
        st.integers(0, 10**6).map(lambda start: IntervalWindow(start, start + 60)),
    ),
]


def compounds(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Coders made of others, each with a strategy for its values."""

    def of_one(pair: Any) -> list[Any]:
        coder, values = pair
        return [
            (coders.IterableCoder(coder), st.lists(values, max_size=3)),
            (coders.coders.ListCoder(coder), st.lists(values, max_size=3)),
            (coders.NullableCoder(coder), st.none() | values),
            (coders.coders.LengthPrefixCoder(coder), values),
            (coders.coders.TupleSequenceCoder(coder), st.lists(values, max_size=3).map(tuple)),
            (
                coders.coders.MapCoder(coders.StrUtf8Coder(), coder),
                st.dictionaries(TEXT, values, max_size=3),
            ),
        ]

    def of_many(pairs: Any) -> Any:
        return coders.TupleCoder([coder for coder, _ in pairs]), st.tuples(*(values for _, values in pairs))

    return inner.map(of_one).flatmap(st.sampled_from) | st.lists(inner, min_size=1, max_size=4).map(of_many)


CODERS = st.recursive(st.sampled_from(LEAVES), compounds, max_leaves=4)
CODERS_AND_VALUES = CODERS.flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1]))


@settings(deadline=None, max_examples=300)
@given(CODERS_AND_VALUES)
@pytest.mark.slow
def test_a_payload_of_a_standard_coder_is_decoded_by_the_coders_name(pair: Any) -> None:
    coder, value = pair
    payload, name = encode_payload(value, coder, coder_name(coder))
    assert decode_payload(payload, name, trust_pickles=True) == value


@settings(deadline=None, max_examples=100)
@given(CODERS_AND_VALUES)
def test_a_payload_is_decoded_by_the_portable_coder(pair: Any) -> None:
    coder, value = pair
    payload, name = encode_payload(value, coder, coder_name(coder))
    assert decode_payload(payload, name, portable_coder(coder), trust_pickles=True) == value


@settings(deadline=None, max_examples=200)
@given(CODERS_AND_VALUES, st.booleans())
def test_without_trust_a_payload_is_the_same_or_refused(pair: Any, with_coder: bool) -> None:
    coder, value = pair
    payload, name = encode_payload(value, coder, coder_name(coder))
    try:
        assert decode_payload(payload, name, portable_coder(coder) if with_coder else b"") == value
    except MayRunCode:
        assert not is_plain(value) or "Pickle" in name or "global_window" in name


def is_plain(value: Any) -> bool:
    """Whether a value of ANYTHING has none that Beam's coder of any value pickles."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(map(is_plain, value.values()))
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not isinstance(value, frozenset)


class Boom:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("code was run",)


@pytest.mark.parametrize("wrap", ["{}", "beam:coder:iterable:v1({})", "python:ListCoder({})"])
@pytest.mark.parametrize(
    "coder",
    [
        coders.FastPrimitivesCoder(),
        coders.PickleCoder(),
        coders.DillCoder(),
        coders.coders.CloudpickleCoder(),
        coders.coders.FakeDeterministicFastPrimitivesCoder(),
    ],
)
def test_a_payload_that_would_run_code_is_refused(coder: Any, wrap: str) -> None:
    payload = coder.encode(Boom())
    listed = payload if wrap == "{}" else b"\0\0\0\1" + payload
    for name in (f"python:{type(coder).__name__}", "pickle", coder_name(coder), f"{coder.__module__}.X"):
        for portable in (b"", portable_coder(coder)):
            with pytest.raises(ValueError, match=r"may run code|cannot|needs|coder"):
                decode_payload(listed, wrap.format(name), portable)


class Place(NamedTuple):
    x: Any


def test_a_schema_that_names_code_is_refused() -> None:
    coder = coders.RowCoder.from_type_hint(Place, None)
    payload, name = encode_payload(Place(1), coder, coder_name(coder))
    with pytest.raises(MayRunCode):
        decode_payload(payload, name, portable_coder(coder))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("beam:coder:iterable:v1(beam:coder:global_window:v1)", b"\x7f\xff\xff\xff"),
        ("python:FastPrimitivesCoder", b"\5\1" * 100_000),
        ("python:BigIntegerCoder", b"\1" * 1_000_000),
        ("beam:coder:iterable:v1(" * 100_000, b""),
    ],
)
def test_a_payload_that_takes_long_is_refused(name: str, payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_payload(payload, name)


@settings(deadline=None)
@given(CODERS)
def test_a_name_is_short_enough_for_people_and_names_one_coder(pair: Any) -> None:
    name = coder_name(pair[0])
    assert "\n" not in name
    assert " " not in name
    assert name == coder_name(pair[0])


@given(ANYTHING)
def test_without_a_coder_an_element_is_pickled(value: Any) -> None:
    payload, name = encode_payload(value, None, "")
    assert name == "pickle"
    assert decode_payload(payload, name, trust_pickles=True) == value


def test_not_a_number_is_kept() -> None:
    coder = coders.FloatCoder()
    assert math.isnan(decode_payload(*encode_payload(math.nan, coder, coder_name(coder))))


Point = NamedTuple("Point", [("x", int), ("name", str)])  # noqa: UP014 - annotations here are text


def test_a_record_with_a_schema_is_decoded_by_the_portable_coder() -> None:
    coder = coders.RowCoder.from_type_hint(Point, None)
    payload, name = encode_payload(Point(1, "a"), coder, coder_name(coder))
    assert name == "beam:coder:row:v1"
    decoded = decode_payload(payload, name, portable_coder(coder))
    assert (decoded.x, decoded.name) == (1, "a")


def test_a_record_with_a_schema_needs_the_portable_coder_and_says_so() -> None:
    coder = coders.RowCoder.from_type_hint(Point, None)
    payload, name = encode_payload(Point(1, "a"), coder, coder_name(coder))
    with pytest.raises(ValueError, match="give the portable coder of its run"):
        decode_payload(payload, name)


class Shouting(coders.Coder):
    """A coder of the pipeline's own."""

    def encode(self, value: str) -> bytes:
        return value.upper().encode()

    def decode(self, encoded: bytes) -> str:
        return encoded.decode()

    def is_deterministic(self) -> bool:
        return True


def test_a_coder_of_the_pipelines_own_is_named_in_full_and_kept() -> None:
    payload, name = encode_payload("loud", Shouting(), coder_name(Shouting()))
    assert name == f"{__name__}.Shouting"
    assert decode_payload(payload, name, portable_coder(Shouting()), trust_pickles=True) == "LOUD"
    assert isinstance(coder_from_portable(portable_coder(Shouting())), Shouting)


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "beam:coder:kv:v1(beam:coder:varint:v1",
        "python:Nothing",
        "python:os.system",
        "a(b)c",
        "",
        "()",
    ],
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="coder"):
        decode_payload(b"", name)


@pytest.mark.parametrize(("name", "value"), [("none", None), ("raw", b"\xff"), ("repr", "\ufffd")])
def test_payloads_that_no_coder_made(name: str, value: Any) -> None:
    assert decode_payload(b"\xff", name) == value


def test_a_payload_is_read_by_a_program_that_knows_nothing_of_the_pipeline() -> None:
    coder = coders.TupleCoder(
        [coders.StrUtf8Coder(), coders.coders.ListCoder(coders.VarIntCoder()), coders.FloatCoder()]
    )
    payload, name = encode_payload(("a", [1, 2], 0.5), coder, coder_name(coder))
    program = (
        f"from beam_obs.records.payload import decode_payload; print(decode_payload({payload!r}, {name!r}))"
    )
    import beam_obs

    folder = beam_obs.__file__.rsplit("/", 2)[0]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, check=True
    )
    assert done.stdout.strip() == "('a', [1, 2], 0.5)"


TYPES: list[tuple[Any, Any]] = [
    (int, 3),
    (str, "é"),
    (bytes, b"\0"),
    (float, 0.5),
    (bool, True),
    (tuple[str, int], ("a", 1)),
    (tuple[str, int, float], ("a", 1, 0.5)),
    (list[int], [1, 2]),
    (dict[str, int], {"a": 1}),
    (dict[str, list[int]], {"a": [1]}),
    (set[int], {1, 2}),
    (Any, {"a": [1, (2, None)]}),
    (Timestamp, Timestamp(3)),
    (Decimal, Decimal("1.5")),
]


@pytest.mark.parametrize(("kind", "value"), TYPES, ids=lambda one: str(one))
def test_an_element_of_a_type_that_beam_knows_is_decoded_by_the_coders_name(kind: Any, value: Any) -> None:
    from apache_beam.typehints import native_type_compatibility

    coder = coders.registry.get_coder(native_type_compatibility.convert_to_beam_type(kind))
    payload, name = encode_payload(value, coder, coder_name(coder))
    assert not name.startswith("pickle")
    assert decode_payload(payload, name, trust_pickles=kind in (Timestamp, Decimal)) == value


ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT | ANYTHING | st.binary() | st.dictionaries(ANY_TEXT, ANY_TEXT) | st.lists(ANY_TEXT))
def test_a_text_is_always_short_utf8(value: Any) -> None:
    assert len(payload_text(value).encode()) <= PAYLOAD_TEXT_LIMIT


@given(ANY_TEXT, st.integers(PAYLOAD_TEXT_LIMIT - 5, PAYLOAD_TEXT_LIMIT + 5))
def test_a_text_near_the_limit_is_short_utf8(end: str, length: int) -> None:
    for value in ("x" * (length - len(end)) + end, end + "é" * length, (end * length)[:length]):
        for made in (value, value.encode("utf-8", "replace"), [value], {"a": value}, (value,)):
            assert len(payload_text(made).encode()) <= PAYLOAD_TEXT_LIMIT


@given(st.text(max_size=1000).filter(lambda text: len(text.encode()) <= PAYLOAD_TEXT_LIMIT))
def test_a_short_text_is_itself(text: str) -> None:
    assert payload_text(text) == text


def test_a_cut_text_says_so() -> None:
    assert payload_text("x" * 5000).endswith("x...")
    assert payload_text(b"x" * 5000).endswith("x...")
    assert payload_text(["x" * 5000]).endswith("x...")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "é"}, '{"a": "é"}'),
        ([1, None, True], "[1, null, true]"),
        ((1, 2), "(1, 2)"),
        (b"bytes \xff", "bytes \\xff"),
        ("\ud800", "\\ud800"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ({"a": {1}}, '{"a": "{1}"}'),
        (None, "None"),
        (beam.Row(a=1), "BeamSchema_"),
    ],
    ids=repr,
)
def test_texts_are_made_for_people(value: Any, text: str) -> None:
    assert payload_text(value)[: len(text)].startswith(text) or text == "BeamSchema_"


@given(
    st.dictionaries(
        st.text(max_size=5) | st.integers(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(TEXT, max_size=2),
        max_size=5,
    )
)
def test_the_text_of_a_dict_is_what_json_writes(fields: dict[Any, Any]) -> None:
    written = json.dumps(fields, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    assert payload_text(fields) == written or len(written.encode()) > PAYLOAD_TEXT_LIMIT


def test_the_text_of_a_dict_is_on_one_line_whatever_is_in_it() -> None:
    fields = {"a,\n  b": "x\n,\n  y\x7f\x00\u2028", "": "", "c": 0.5}
    assert payload_text(fields) == json.dumps(fields, ensure_ascii=False)


def test_a_list_that_holds_itself_has_a_text() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert payload_text(circle) == "[1, [...]]"


def test_an_element_without_repr_has_a_text() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise ValueError

    assert "repr() raised ValueError" in payload_text(Shy())
    assert "repr() raised ValueError" in payload_text({"a": Shy()})
    assert "repr() raised ValueError" in payload_text([Shy()])
    assert payload_text((Shy(),))
