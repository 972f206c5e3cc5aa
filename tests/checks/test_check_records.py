"""The generated function of a Check says what the assumptions say, for any record."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import beam_obs as obs
from beam_obs.checks.assumption import Assumption
from beam_obs.checks.check_records import all_breaks, generate

FIELDS = st.sampled_from(["a", "b", "class", "a.b", "b.a", "0", "1.a"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text("ab1", max_size=2),
    st.lists(st.integers(0, 1), max_size=1),
)
KEYS = st.sampled_from(["a", "b", "class", "0"])


def records(values: Any) -> Any:
    fields = st.dictionaries(KEYS, values, max_size=4)
    return st.one_of(
        fields,
        fields.map(lambda given: SimpleNamespace(**given)),
        fields.map(lambda given: beam.Row(**given)),
        st.tuples(values, values),
        values,
    )


RECORDS = records(st.one_of(LEAVES, records(LEAVES)))


@st.composite
def assumptions(draw: Any) -> Assumption:
    field, other = draw(FIELDS), draw(FIELDS)
    lenient = {"allow_none": draw(st.booleans()), "allow_missing": draw(st.booleans())}
    return draw(
        st.sampled_from(
            [
                obs.between(field, -1, 1, **lenient),
                obs.between(field, low=0, **lenient),
                obs.between(field, high="b", **lenient),
                obs.one_of(field, [1, "a"], **lenient),
                obs.one_of(field, [[1], "a", None], **lenient),
                obs.matches(field, "a+", **lenient),
                obs.of_type(field, int, **lenient),
                obs.of_type(field, float, int, **lenient),
                obs.of_type(field, object, **lenient),
                obs.not_null(field, other),
                obs.holds("sum", lambda one, another: one + another, field, other, **lenient),
                obs.holds("true", bool, field, **lenient),
                obs.holds("record", bool),
                obs.unique(field, other, allow_none=lenient["allow_none"]),
                obs.fits_schema(["null", "int", "string"], field, **lenient),
            ]
        )
    )


@settings(max_examples=500, deadline=None)
@given(st.lists(assumptions(), min_size=1, max_size=4), RECORDS)
@pytest.mark.slow
def test_the_generated_function_agrees_with_the_assumptions(checks: list[Assumption], record: Any) -> None:
    judged: list[Any] = []

    def judge(refused: Any) -> list[Any]:
        judged.append(refused)
        return [] if all_breaks(checks, refused) else [refused]

    passed = generate(checks, judge, numbered=False)(record)
    assert bool(list(passed)) == (not all_breaks(checks, record))
    assert all(one is record for one in [*passed, *judged])


def test_records_like_most_never_reach_the_judge() -> None:
    checks = [
        obs.between("a", 0, 1),
        obs.one_of("b", ["x"], allow_none=True),
        obs.matches("c.d", "x+", allow_missing=True),
        obs.of_type("a", int),
        obs.not_null("a", "c"),
        obs.holds("equal", lambda a, b: a == 1 and b == "x", "a", "b"),
        obs.between("z", 0, 1, allow_missing=True),
    ]

    def judge(record: Any) -> list[Any]:
        raise AssertionError(record)

    process = generate(checks, judge, numbered=False)
    for record in ({"a": 1, "b": "x", "c": {"d": "xx"}}, beam.Row(a=1, b="x", c={"d": "xx"})):
        assert list(process(record)) == [record]


def test_a_record_that_is_none_has_no_field_to_miss() -> None:
    checks = [obs.between("a", -1, 1, allow_missing=True)]
    judged: list[Any] = []
    assert generate(checks, judged.append, numbered=False)(None) is None
    assert judged == [None]
    assert all_breaks(checks, None)


def test_a_field_that_a_record_lacks_is_told_with_the_nearest_that_it_has() -> None:
    lacking = obs.between("degres", 0, 1), obs.not_null("adress.city")
    record = {"degrees": 3, "address": {"city": "Turku"}}
    texts = [broken.text for broken in all_breaks(lacking, record)]
    assert texts == [
        "degres between: degres is missing (the record has 'degrees'), expected 0 to 1",
        "adress.city not_null: adress.city is missing (the record has 'address'), expected a value",
    ]
