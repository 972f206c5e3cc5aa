"""Numbers have the form that Avro's specification gives them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from beam_obs.records.avro_number import avro_long, read_avro_long

LONG = st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**15), 2**15)


def by_the_specification(number: int) -> bytes:
    left, groups = (number << 1) ^ (number >> 63), []
    while left > 0x7F:
        groups.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*groups, left])


@given(LONG)
@example(2**13 - 1)
@example(2**13)
@example(-(2**13))
@example(-(2**13) - 1)
def test_a_number_is_written_as_the_specification_has_it(number: int) -> None:
    assert avro_long(number) == by_the_specification(number)


@given(LONG)
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    written = avro_long(number)
    assert read_avro_long(written, 0) == (number, len(written))
