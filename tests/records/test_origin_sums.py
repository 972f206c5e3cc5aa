"""Sums of origins tell whether two places had the same elements, and which differ where they are few."""

from __future__ import annotations

import collections
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.contributors import NO_SOURCE, UNKNOWN, summarize, total_in
from beam_obs.records.ledger_rows import BY_WINDOW, PointSums, StepPoints, manifest_of, merged, row_of
from beam_obs.records.manifest import Manifest
from beam_obs.records.origin import Partition
from beam_obs.records.origin_sums import OriginSums, total_of
from beam_obs.records.window_sums import Window, WindowSums
from beam_obs.runs.ledger_windows import windows_found

RECORDS = [Partition("a.csv", "1").origin(position) for position in range(400)]
SOME = st.lists(st.sampled_from(RECORDS), max_size=60)


def sums_of(provenances: list[bytes]) -> OriginSums:
    sums = OriginSums()
    sums.add(provenances)
    return sums


def difference(left: list[bytes], right: list[bytes]) -> OriginSums:
    found = sums_of(left)
    found.subtract(sums_of(right))
    return found


@given(SOME, st.randoms())
def test_any_order_and_any_parts_have_the_same_sums(records: list[bytes], chance: random.Random) -> None:
    shuffled = [*records]
    chance.shuffle(shuffled)
    cut = chance.randint(0, len(shuffled))
    parts = OriginSums()
    for part in (shuffled[:cut], shuffled[cut:]):
        parts.merge(OriginSums.decode(sums_of(part).encode()))
    parts.subtract(sums_of(records))
    assert parts.is_zero
    assert not list(parts.odd())


@given(SOME, SOME)
def test_sums_are_the_same_only_of_the_same_records(left: list[bytes], right: list[bytes]) -> None:
    found = difference(left, right)
    assert found.is_zero == (collections.Counter(left) == collections.Counter(right))
    assert found.count == len(left) - len(right)


@given(SOME, SOME)
def test_no_record_is_named_that_does_not_differ(left: list[bytes], right: list[bytes]) -> None:
    wanted = collections.Counter(left)
    wanted.subtract(right)
    for odd in difference(left, right).odd():
        assert wanted[odd.origin] == odd.times


def test_of_many_records_that_differ_some_are_named() -> None:
    everything = [Partition("b.csv", "1").origin(position) for position in range(20_000)]
    for lost in (1, 10, 100, 1_000, 10_000):
        named = list(difference(everything, everything[lost:]).odd())
        assert named
        assert {odd.origin for odd in named} <= set(everything[:lost])


def test_records_without_an_origin_are_counted() -> None:
    found = difference([UNKNOWN, NO_SOURCE, RECORDS[0]], [RECORDS[0]])
    assert found.count == 2
    assert not found.is_zero


def test_a_total_holds_against_cells() -> None:
    found = sums_of(RECORDS)
    other = OriginSums()
    other.add_total(total_of(RECORDS[:300]))
    other.add_total(total_in(summarize(RECORDS[301:])))
    found.subtract(OriginSums.decode(other.encode()))
    (odd,) = found.odd()
    assert (odd.origin, odd.times) == (RECORDS[300], 1)


@given(SOME, SOME, st.integers(1, 8))
def test_a_summary_has_the_sums_of_its_elements(left: list[bytes], right: list[bytes], limit: int) -> None:
    summary = summarize([summarize(left, limit), summarize(right, limit)], limit)
    assert total_in(summary) == total_of([*left, *right])


@pytest.mark.parametrize("content", [b"", b"\0short", b"\1short", b"\2short", b"\7", b"\1" + b"\xff" * 34])
def test_what_is_no_sums_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="sums of origins"):
        OriginSums.decode(content)


def test_manifests_of_the_ledger_are_merged_and_others_left() -> None:
    one, two = PointSums(), PointSums()
    one.add_row(row_of([(1, sums_of(RECORDS[:100]).encode()), (2, sums_of(RECORDS[:3]).encode())]))
    two.add_row(row_of([(1, sums_of(RECORDS[100:]).encode())]))
    other = Manifest("outputs", "write", "ledger", 3).to_json()
    left, made = merged([manifest_of(one).to_json(), other, manifest_of(two).to_json()])
    assert left == other
    sums = PointSums()
    sums.add_details(Manifest.from_json(made).details)
    found = sums.of((1, -2))
    found.subtract(sums_of(RECORDS[3:]))
    assert found.is_zero


def test_a_damaged_manifest_is_refused() -> None:
    for text in ("?", "AA=="):
        with pytest.raises(ValueError, match="sums of"):
            PointSums().add_details({"sums": {"1": text + "x"}})


def test_sums_by_window_are_merged_too() -> None:
    by_window = WindowSums()
    by_window.add(Window(0, 10), total_of(RECORDS[:2]))
    row = row_of([(1, sums_of(RECORDS[:2]).encode()), (1 | BY_WINDOW, by_window.encode())])
    one = PointSums()
    one.add_row(row)
    (made,) = merged([manifest_of(one).to_json()] * 2)
    sums = PointSums()
    sums.add_details(Manifest.from_json(made).details)
    assert list(sums.by_window_of((1,)).items()) == [(Window(0, 10), total_of(RECORDS[:2] * 2))]
    assert windows_found(sums.by_window_of((1, -1)), {}) == ()


def test_points_of_steps_do_not_meet() -> None:
    first = StepPoints(1, ("a", "b"))
    second = StepPoints(1 + first.number)
    terms = {abs(term) for term in (*first.given, *first.taken, *first.given_to("b"))}
    assert max(terms) < min(abs(term) for term in second.given)
