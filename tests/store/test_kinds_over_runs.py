"""Kinds of refusal over many runs, told from what their ends say."""

from __future__ import annotations

from typing import Any

from beam_obs.store.kinds_of_refusal import counts_by_run, kinds_not_among


def kind(fingerprint: str, count: int = 1, version: int | None = 2, message: str = "no") -> dict[str, Any]:
    return {
        "stage": "parse",
        "fingerprint": fingerprint,
        "fingerprint_version": version,
        "error_type": "builtins.ValueError",
        "error_message": message,
        "count": count,
        "first": 1,
        "last": 2,
    }


def test_kinds_are_counted_in_each_run() -> None:
    assert counts_by_run([kind("a"), kind("b")], [[kind("b", 3)], [], [kind("a", 2), kind("b", 5)]]) == [
        [0, 0, 2],
        [3, 0, 5],
    ]


def test_kinds_of_other_releases_are_told_by_what_they_say() -> None:
    assert counts_by_run([kind("a", message="row 7 is torn")], [[kind("z", 4, 1, "row 9 is torn")]]) == [[4]]


def test_kinds_that_are_not_known_are_given_once() -> None:
    found = kinds_not_among([kind("a")], [[kind("a"), kind("b", 1)], [kind("b", 9), kind("c")]])
    assert [(one["fingerprint"], one["count"]) for one in found] == [("b", 1), ("c", 1)]
