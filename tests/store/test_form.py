"""Values are held against the form that is read; what does not fit is left out, and said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.store import form as form_module
from beam_obs.store.acyclic import drop_circles
from beam_obs.store.form import Each, Maybe, Needed, Text, Time, fit, parse_object
from beam_obs.store.run_record_forms import END_FORM, MANIFESTS_FORM, PARTITIONS_FORM, START_FORM

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"a": 1e999}',
        b'{"a": NaN}',
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"a": 99999999999999999999}',
        b'{"a":' * 100_000,
        b'{"a":' * 60 + b"1" + b"}" * 60,
    ],
)
def test_what_cannot_be_walked_or_computed_with_is_no_object(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_object(content)


@pytest.mark.parametrize(
    ("value", "form", "found"),
    [
        ({"a": 1, "b": 2}, {"a": int}, {"a": 1, "b": 2}),
        ({"a": True}, {"a": Needed(int, 0)}, {"a": 0}),
        ({}, {"a": Needed(int, 7)}, {"a": 7}),
        ({"a": "x"}, {"a": Maybe(int)}, {}),
        ([{"a": 1}, {"b": 1}, 3], [{"a": int}], [{"a": 1}]),
        ({"x": 1, "y": "z"}, Each(int), {"x": 1}),
        ({"at": "2026-01-02T03:04:05Z"}, {"at": Time()}, {"at": "2026-01-02T03:04:05Z"}),
        ({"at": "2026-99-02T03:04:05Z"}, {"at": Time()}, {}),
        ([{"code": "zz"}, {"code": "0a"}, {}], [{"code": Text(r"[0-9a-f]+")}], [{"code": "0a"}]),
    ],
)
def test_a_value_is_kept_as_far_as_it_fits(value: Any, form: Any, found: Any) -> None:
    problems: list[str] = []
    assert fit(value, form, "it", problems) == found
    assert bool(problems) == (found != value and bool(value))


@given(st.dictionaries(st.sampled_from([*END_FORM, *START_FORM, "manifests", "partitions"]), JSON))
def test_what_has_been_fitted_fits(value: dict[str, Any]) -> None:
    for form in (END_FORM, START_FORM, MANIFESTS_FORM, PARTITIONS_FORM):
        fitted = fit(value, form, "", [])
        again: list[str] = []
        assert fit(fitted, form, "", again) == fitted
        assert not again


FORM = {
    "name": str,
    "count": Needed(int, 7),
    "at": Maybe(Time()),
    "code": Text(r"[a-z]*"),
    "parts": Needed([{"label": str, "share": Maybe(float)}], []),
    "options": Maybe(Each(object)),
    "told": Each(Maybe(bool)),
}
LEAF = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["", "ab", "A", "1"])
OF_FORM = st.fixed_dictionaries(
    {},
    optional={
        "name": LEAF,
        "count": LEAF,
        "at": LEAF | st.just("2026-01-02T03:04:05Z"),
        "code": LEAF,
        "parts": LEAF | st.lists(st.dictionaries(st.sampled_from(["label", "share", "more"]), LEAF) | LEAF),
        "options": LEAF | st.dictionaries(st.text(max_size=2), LEAF),
        "told": LEAF | st.dictionaries(st.text(max_size=2), LEAF),
    },
)


@given(OF_FORM)
def test_what_is_as_it_should_be_is_seen_to_be_so(value: dict[str, Any]) -> None:
    def fitted() -> tuple[Any, list[str]]:
        problems: list[str] = []
        try:
            return fit(value, FORM, "it", problems), problems
        except ValueError as error:
            return str(error), problems

    fast = fitted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(form_module, "_has_form", lambda _: lambda _: False)
        assert repr(fast) == repr(fitted())


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_no_circle_is_left_and_no_more_goes_than_closes_one(pairs: list[tuple[int, int]]) -> None:
    end = {"edges": [{"from": str(source), "to": str(target)} for source, target in pairs]}
    problems: list[str] = []
    drop_circles(end, problems)
    left = {(edge["from"], edge["to"]) for edge in end["edges"]}
    assert not _has_circle(left)
    assert bool(problems) == _has_circle({(str(source), str(target)) for source, target in pairs})


def _has_circle(pairs: set[tuple[str, str]]) -> bool:
    while True:
        targets = {target for _, target in pairs}
        kept = {pair for pair in pairs if pair[0] in targets}
        if kept == pairs:
            return bool(pairs)
        pairs = kept


def test_half_of_a_surrogate_pair_stands_written_out() -> None:
    content = b'{"a\\ud800": ["\\uDFFF", "\\ud83d\\ude00", "caf\\udce9.csv"]}'
    assert parse_object(content) == {"a\\ud800": ["\\udfff", "\U0001f600", "caf\udce9.csv"]}
    with pytest.raises(ValueError, match="utf-8"):
        parse_object(b'{"a": "\xed\xa0\x80"}')


@pytest.mark.parametrize(
    "text", ["2026-01-02T03:04:05", "0001-01-01T00:00:00+14:00", "9999-12-31T23:00:00-14:00"]
)
def test_a_time_without_a_zone_or_of_no_year_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="at is"):
        fit(text, Time(), "at", [])
    assert fit("2026-01-02T03:04:05+02:00", Time(), "at", []) == "2026-01-02T03:04:05+02:00"
