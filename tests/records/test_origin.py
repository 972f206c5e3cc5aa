"""Origins are a stable format: these tests also hold the bytes of a few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.origin import (
    Partition,
    derived_origin,
    find_partition,
    holds_position,
    is_derived,
    parse_origin,
    position_of_message,
    randomness,
    unlocated_origin,
)

partitions = st.builds(
    Partition,
    st.text(max_size=20),
    st.text(st.characters(codec="ascii"), max_size=20),
    located=st.just(True),
    wide=st.booleans(),
)
positions = st.integers(0, 2**64 - 1)


@given(partitions, st.integers(0, 2**40 - 1))
def test_a_position_is_found_again_in_its_origin(partition: Partition, position: int) -> None:
    assert partition.position_of(partition.origin(position)) == position


@given(partitions, st.integers(2**40, 2**43))
def test_a_position_beyond_40_bits_is_found_where_the_size_allows_it(
    partition: Partition, position: int
) -> None:
    assert partition.position_of(partition.origin(position), size=2**43 + 1) == position
    assert partition.position_of(partition.origin(position)) is None


@given(partitions, st.lists(positions, max_size=50))
def test_many_origins_at_once_are_those_made_one_by_one(partition: Partition, places: list[int]) -> None:
    one_by_one = [partition.origin(place) for place in places]

    assert [bytes(row) for row in partition.origins(places)] == one_by_one
    assert partition.hex_origins(places) == [origin.hex() for origin in one_by_one]


@given(partitions, partitions, st.integers(0, 2**40 - 1))
def test_only_the_partition_that_made_an_origin_verifies(
    ours: Partition, other: Partition, position: int
) -> None:
    origin = ours.origin(position)

    assert ours.verifies(origin)
    assert other.verifies(origin) == (other == ours or (other._replace(wide=True) == ours))
    if other[:2] != ours[:2]:
        assert find_partition(origin, [other, ours]) == (ours, position)


@given(partitions, positions)
def test_an_origin_is_16_bytes_and_valid_as_a_trace_id(partition: Partition, position: int) -> None:
    origin = partition.origin(position)

    assert len(origin) == 16
    assert any(origin)
    assert not is_derived(origin)
    assert parse_origin(origin.hex()) == origin


@given(partitions, positions)
def test_the_top_bit_says_whether_the_hash_follows_from_code_and_position(
    partition: Partition, position: int
) -> None:
    origin = partition.origin(position)

    assert holds_position(origin) == (not partition.wide and position < 2**40)
    if holds_position(origin):
        assert partition.origin(int.from_bytes(origin[4:9], "big")) == origin


def test_code_and_hash_of_an_origin_that_holds_no_position_say_nothing_of_each_other() -> None:
    assert not holds_position(Partition("queue", "", located=False).origin(3))
    assert not holds_position(derived_origin("sum", b"k", b"", 0))


def test_name_and_version_do_not_run_into_each_other() -> None:
    assert Partition("ab", "c").code != Partition("a", "bc").code


@pytest.mark.parametrize("step", [1, 95, 4096, 2**32])
def test_the_low_56_bits_are_uniform_enough_to_sample_by(step: int) -> None:
    origins = Partition("flights.csv", "1").origins(np.arange(200_000, dtype=np.uint64) * np.uint64(step))
    top_byte = np.bincount(origins[:, 9], minlength=256)
    low_byte = np.bincount(origins[:, 15], minlength=256)
    expected = 200_000 / 256

    for counts in (top_byte, low_byte):
        chi_squared = float(((counts - expected) ** 2 / expected).sum())
        assert 170 < chi_squared < 350  # 255 degrees of freedom: far less than one in 10^4 outside


def test_neighbours_and_files_do_not_share_their_random_bits() -> None:
    values = {
        randomness(Partition(f"{name}.csv", "1").origin(place))
        for name in range(20)
        for place in range(5_000)
    }

    assert len(values) == 100_000


def test_the_format_does_not_change() -> None:
    assert (
        Partition("2013/01.csv", "30453-c5f1").origin(2**40 + 5).hex() == "cb318c610000000005ba624f60fb0d66"
    )
    assert (
        Partition("2013/01.avro", "30453-c5f1", wide=True).origin(5).hex()
        == "a4e6dc9b000000000550f2854cd94604"
    )
    assert Partition("café", "1").origin(0).hex() == "20eebc300000000000ed1284ce168a00"
    assert (
        unlocated_origin(Partition("topic", "", False), b"x", 1).hex() == "9029cffe0000000001307aeb6bb2e3d5"
    )


@given(st.text(), st.binary(), st.binary(), st.integers(0, 100))
def test_a_derived_origin_is_deterministic_and_marked(
    step: str, key: bytes, window: bytes, pane: int
) -> None:
    origin = derived_origin(step, key, window, pane)

    assert is_derived(origin)
    assert origin == derived_origin(step, key, window, pane)
    assert any(origin)


def test_parts_of_a_derived_origin_do_not_run_into_each_other() -> None:
    assert derived_origin("a", b"bc", b"", 0) != derived_origin("a", b"b", b"c", 0)


def test_equal_records_without_positions_differ_by_their_occurrence() -> None:
    source = Partition("queue", "", located=False)
    first, second = (unlocated_origin(source, b"same", occurrence) for occurrence in (0, 1))

    assert first != second
    assert randomness(first) == randomness(second)
    assert source.code != Partition("queue", "").code


def test_a_message_without_position_has_the_same_origin_each_time() -> None:
    topic = Partition("projects/p/subscriptions/s", "", wide=True)

    assert topic.origin(position_of_message("8842")) == topic.origin(position_of_message("8842"))
    assert topic.origin(position_of_message("8842")) != topic.origin(position_of_message("8843"))


@pytest.mark.parametrize("text", ["", "00" * 16, "g" * 32, "ab" * 15, "ab" * 17])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="32 hex digits"):
        parse_origin(text)
