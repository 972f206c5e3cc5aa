"""Totals by window."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.origin_sums import Odd, total_of
from beam_obs.records.window_sums import MOST_WINDOWS, Window, WindowSums, totals_by
from beam_obs.runs.ledger_windows import windows_found

ORIGINS = st.binary(min_size=16, max_size=16)
IN_WINDOWS = st.lists(st.tuples(st.sampled_from([None, -5, 10, 20]), ORIGINS), max_size=150)


def sums_of(elements: list[tuple[int | None, bytes]]) -> WindowSums:
    sums = WindowSums()
    for end, total in totals_by([end for end, _ in elements], [origin for _, origin in elements]):
        sums.add(Window(end - 5, end), total)
    return sums


@given(IN_WINDOWS, IN_WINDOWS)
def test_sums_are_those_of_the_elements_of_each_window(
    one: list[tuple[int | None, bytes]], other: list[tuple[int | None, bytes]]
) -> None:
    both = sums_of(one)
    both.merge(sums_of(other))
    elements = [*one, *other]
    ends = sorted({end for end, _ in elements if end is not None})
    assert list(both.items()) == [
        (Window(end - 5, end), total_of([origin for at, origin in elements if at == end])) for end in ends
    ]
    both.merge(sums_of(one), -1)
    both.merge(sums_of(other), -1)
    assert windows_found(both, {}) == ()


@given(IN_WINDOWS)
def test_decoded_sums_are_those_that_were_encoded(elements: list[tuple[int | None, bytes]]) -> None:
    sums = sums_of(elements)
    assert list(WindowSums.decode(sums.encode()).items()) == list(sums.items())


def test_a_record_that_differs_alone_is_named() -> None:
    given_, taken = sums_of([(10, b"a" * 16), (20, b"b" * 16)]), sums_of([(10, b"a" * 16)])
    given_.merge(taken, -1)
    (found,) = windows_found(given_, {})
    assert (found.window, found.alone) == (Window(15, 20).text, Odd(b"b" * 16, 1))


def test_provenances_that_are_no_origins_count_by_window_too() -> None:
    assert dict(totals_by([10] * 100, [b""] * 100))[10].number == 100


def test_of_too_many_windows_those_beyond_are_left_out() -> None:
    sums = WindowSums()
    for at in range(MOST_WINDOWS + 5):
        sums.add(Window(at, at + 1), total_of([b"a" * 16]))
    assert sums.whole.number == MOST_WINDOWS


@pytest.mark.parametrize("content", [b"a", b"a" * 41])
def test_damaged_sums_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no sums by window"):
        WindowSums.decode(content)
