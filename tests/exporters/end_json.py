"""What the end of a run in its store says, read as JSON: exported numbers have to be the same."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

DEAD = "beam_obs_records_dead_total"

Series = tuple[str, frozenset[tuple[str, str]]]
"""Name in Prometheus, and labels but for the pipeline."""


def totals_of(store: pathlib.Path) -> dict[Series, float]:
    """Returns the counts of the one run of a store: of its steps, and of counters of its users."""
    end = _end(store)
    found: dict[Series, float] = {}
    for stage in end["stages"]:
        for name, field in (("records_in", "in"), ("records_out", "out"), ("records_filtered", "filtered")):
            found[series(f"beam_obs_{name}_total", stage=stage["label"])] = stage[field]
    for sample in _samples(end, "counter"):
        found[series(sample["name"], stage=sample["step"], **sample["labels"])] = sample["value"]
    return found


def refusals_of(store: pathlib.Path) -> dict[Series, float]:
    """Returns how many records were refused, by stage and type of error."""
    found: dict[Series, float] = {}
    for kind in _end(store)["dead_letters"]["by_fingerprint"]:
        error = series(DEAD, stage=kind["stage"], error=kind["error_type"])
        found[error] = found.get(error, 0) + kind["count"]
    return found


def refused_in(values: Mapping[Series, float]) -> float:
    """Returns how many refused records values tell, of whatever type."""
    return sum(value for (name, _), value in values.items() if name == DEAD)


def gauges_of(store: pathlib.Path) -> dict[Series, float]:
    """Returns the gauges of users, and the quantiles of summaries."""
    end = _end(store)
    found = {
        series(one["name"], stage=one["step"], **one["labels"]): one["value"]
        for one in _samples(end, "gauge")
    }
    for one in _samples(end, "summary"):
        for quantile, value in one["quantiles"].items():
            found[series(one["name"], stage=one["step"], quantile=quantile)] = value
    return found


def buckets_of(store: pathlib.Path) -> dict[Series, dict[str, int]]:
    """Returns the cumulative buckets of histograms of users."""
    return {
        series(one["name"], stage=one["step"], **one["labels"]): one["buckets"]
        for one in _samples(_end(store), "histogram")
    }


def series(name: str, **labels: str) -> Series:
    """Returns what tells a series from others."""
    return name, frozenset(labels.items())


def _samples(end: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [
        {**sample, "name": family["name"]}
        for family in (end.get("instruments") or {}).get("families", ())
        if family["kind"] == kind
        for sample in family["samples"]
    ]


def _end(store: pathlib.Path) -> dict[str, Any]:
    (file,) = store.glob("runs/*/*/end.json")
    end: dict[str, Any] = json.loads(file.read_text())
    return end
