"""Inputs and outputs of two runs."""

from __future__ import annotations

from typing import Any

from beam_obs.store.difference import compare_runs
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def record(**end: Any) -> RunRecord:
    start = {"started": "2026-01-02T03:04:05.000000Z"}
    told = {
        "status": "done",
        "finished": start["started"],
        "counts_from": "result",
        "dead_letters": {"count": 0},
    }
    return RunRecord("p", "0193", start, {**told, "steps": [], **end})


def test_datasets_of_which_nothing_is_known_are_not_called_the_same() -> None:
    dataset = {"label": "r", "name": "r", "uri": "x", "records": 3, "digest": None, "files": []}
    end = {"inputs": [dataset], "outputs": [dataset]}
    found = compare_runs(Store(), record(**end), record(**end))
    assert [one.state for one in (*found.inputs, *found.outputs)] == ["unknown", "unknown"]
