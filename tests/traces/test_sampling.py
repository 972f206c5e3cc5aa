"""Everybody decides alike which records are traced, as OpenTelemetry's probability sampling does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.origin import Partition
from beam_obs.traces.sampling import (
    NEVER,
    is_sampled,
    least_sampled,
    share_of,
    threshold_in,
    threshold_of,
    tracestate_of,
)

SHARES = st.floats(0.0, 1.0)
ORIGINS = st.builds(Partition("a", "1").origin, st.integers(0, 2**39))


@given(ORIGINS, SHARES)
def test_the_bytes_of_an_origin_decide_as_its_number_does(origin: bytes, share: float) -> None:
    least = least_sampled(threshold_of(share))

    assert (least is not None and origin[9:] >= least) == is_sampled(origin, threshold_of(share))


@given(ORIGINS, SHARES, SHARES)
def test_a_record_of_a_small_share_is_of_every_larger_one(origin: bytes, one: float, other: float) -> None:
    small, large = sorted((one, other))

    assert is_sampled(origin, threshold_of(large)) or not is_sampled(origin, threshold_of(small))


@given(SHARES)
def test_a_threshold_comes_back_from_a_tracestate(share: float) -> None:
    threshold = threshold_of(share)

    assert abs(share_of(threshold) - share) < 1e-12
    assert threshold == NEVER or threshold_in(tracestate_of(threshold)) == threshold


def test_a_share_of_records_is_sampled() -> None:
    sampled = sum(is_sampled(Partition("a", "1").origin(n), threshold_of(0.1)) for n in range(10_000))

    assert 850 < sampled < 1150


def test_a_tracestate_of_others_tells_nothing() -> None:
    assert threshold_in("") is None
    assert threshold_in("th:0123456789abcdef") is None
    assert threshold_in("rv:c") is None
