"""What is noted of a window: whatever the bundles and what is left out, nothing that came out was dropped."""

from __future__ import annotations

import functools
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_obs.records import window_counts
from beam_obs.records.window_counts import WindowCounts, dropped_origins


def origin(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def summed(numbers: list[int], bundles: int, side: str) -> WindowCounts:
    """Returns what bundles noted of a side, added up from left to right."""
    parts = [numbers[at::bundles] for at in range(bundles)]
    told = [
        WindowCounts(**{side: len(part), f"noted_{side}": frozenset(map(origin, part))}) for part in parts
    ]
    return functools.reduce(WindowCounts.plus, told, WindowCounts())


@settings(max_examples=200)
@given(
    st.sets(st.integers(0, 60), max_size=40),
    st.data(),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 12),
)
def test_only_what_came_out_nowhere_is_dropped(
    taken: set[int], data: st.DataObject, of_taken: int, of_given: int, most: int
) -> None:
    came = data.draw(st.sets(st.sampled_from(sorted(taken)))) if taken else set()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(window_counts, "MOST_NOTED", most)
        counts = summed(sorted(taken), of_taken, "taken").plus(summed(sorted(came), of_given, "given"))
        read = WindowCounts.from_json(counts.to_json())

    assert read == counts
    found = dropped_origins({"w": read}, len(taken - came))
    assert found.keys() <= {origin(number) for number in taken - came}
    if len(taken) <= most:
        assert len(found) == len(taken - came)
    assert len(read.noted_taken) <= most


def test_more_that_are_missing_than_were_dropped_are_not_believed() -> None:
    counts = WindowCounts(2, 1, 0, frozenset(map(origin, range(2))))
    assert dropped_origins({"w": counts}, 1) == {}


@pytest.mark.parametrize("told", [[], [1, 2], [1, 2, "x"], [1, 2, 3, 4], [1, 2, 3, ["zz"], [], ""]])
def test_what_is_no_such_count_is_refused(told: list[object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        WindowCounts.from_json(told)
