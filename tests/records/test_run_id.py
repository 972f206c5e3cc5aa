"""Ids of runs."""

from __future__ import annotations

import time
import uuid

from beam_obs.records.run_id import new_run_id


def test_an_id_is_a_uuid_of_version_7_that_says_when_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    found = uuid.UUID(new_run_id())
    after = time.time_ns() // 1_000_000
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert before <= found.int >> 80 <= after


def test_ids_are_unique() -> None:
    assert len({new_run_id() for _ in range(10_000)}) == 10_000


def test_ids_sort_by_the_time_they_were_made() -> None:
    ids = []
    for _ in range(20):
        ids.append(new_run_id())
        time.sleep(0.002)
    assert ids == sorted(ids)
