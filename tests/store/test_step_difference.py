"""Where a difference begins: at the steps that changed with no changed step upstream."""

from __future__ import annotations

from typing import Any

from beam_obs.store.difference import compare_runs
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def record(steps: list[dict[str, Any]], **end: Any) -> RunRecord:
    start = {"started": "2026-01-02T03:04:05.000000Z"}
    told = {
        "status": "done",
        "finished": start["started"],
        "counts_from": "result",
        "dead_letters": {"count": 0},
    }
    return RunRecord("p", "0193", start, {**told, "steps": steps, **end})


def step(label: str, count: int, *after: str) -> dict[str, Any]:
    return {"label": label, "is_stage": False, "in": count, "out": count, "after": list(after)}


def test_of_two_branches_both_can_be_first() -> None:
    before = record(
        [step("a", 1), step("b", 1), step("c", 1, "a"), step("d", 1, "b"), step("e", 1, "c", "d")]
    )
    after = record([step("a", 1), step("b", 2), step("c", 3, "a"), step("d", 2, "b"), step("e", 5, "c", "d")])
    assert [one.label for one in compare_runs(Store(), before, after).first] == ["b", "c"]


def test_a_change_that_skips_a_step_is_not_first_below_it() -> None:
    before = record([step("a", 1), step("b", 7, "a"), step("c", 1, "b")])
    after = record([step("a", 2), step("b", 7, "a"), step("c", 2, "b")])
    assert [one.label for one in compare_runs(Store(), before, after).first] == ["a"]
