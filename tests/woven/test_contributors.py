from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.records.contributors import NO_SOURCE, UNKNOWN, gather, in_order, summarize
from beam_obs.records.origin import Partition, find_partition

ORIGINS = st.sampled_from([bytes([at]) * 16 for at in range(1, 30)])
TRACES = st.lists(st.one_of(ORIGINS, st.just(UNKNOWN), st.just(NO_SOURCE)), max_size=40)


@given(TRACES, st.integers(1, 8), st.randoms())
@pytest.mark.slow
def test_any_order_and_any_merge_tree_give_the_same(
    provenances: list[bytes], limit: int, chance: random.Random
) -> None:
    wanted = gather(provenances, limit)
    parts = [[provenance] for provenance in provenances]
    chance.shuffle(parts)
    held = [summarize(part, limit) for part in parts]
    while len(held) > 1:
        take = chance.randint(1, len(held))
        held = [*held[take:], summarize(held[:take], limit)]

    assert gather(held, limit) == wanted


@given(TRACES)
def test_without_a_limit_all_origins_are_kept(provenances: list[bytes]) -> None:
    found = gather(provenances, None)

    assert set(found.origins) == {provenance for provenance in provenances if len(provenance) == 16}
    assert found.count == sum(provenance != NO_SOURCE for provenance in provenances)
    assert found.complete == (UNKNOWN not in provenances)


def test_the_trace_of_one_is_its_own() -> None:
    assert summarize([b"a" * 16]) == b"a" * 16
    assert summarize([UNKNOWN]) == UNKNOWN
    assert summarize([NO_SOURCE]) == NO_SOURCE
    assert summarize([]) == NO_SOURCE


def test_what_no_source_is_behind_does_not_count() -> None:
    assert summarize([NO_SOURCE, b"a" * 16, NO_SOURCE]) == b"a" * 16


def test_beyond_the_limit_a_uniform_sample_of_positions_is_kept() -> None:
    partition = Partition("file.csv", "1")
    found = gather([partition.origin(position) for position in range(20_000)])

    places = [find_partition(origin, [partition]) for origin in found.origins]
    positions = [place[1] for place in places if place is not None]
    assert (found.count, found.complete, len(positions)) == (20_000, False, 1024)
    twentieths = [sum(position // 1000 == part for position in positions) for part in range(20)]
    # Each holds 51 of them on average, give or take 7.
    assert min(twentieths) > 25
    assert max(twentieths) < 80


@pytest.mark.parametrize("limit", [None, 3, 5, 8])
def test_a_summary_alone_is_summed_up_to_itself_unless_it_has_too_many(limit: int | None) -> None:
    origins = [b"%016d" % number for number in range(5)]
    summary = summarize(origins, None)

    assert summarize([summary], limit) == summarize([summary, NO_SOURCE], limit) == summarize(origins, limit)
    assert gather([summary], limit) == gather(origins, limit)
    assert summarize([in_order(origins) or b""], limit) == summarize(origins, limit)
