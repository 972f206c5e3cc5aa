"""A pipeline that gives instruments values in many bundles, and what they must say of them afterwards."""

from __future__ import annotations

import time
from typing import Any

import apache_beam as beam

import beam_obs as obs

BUNDLES = 50
VALUES_OF_BUNDLE = 400


class GiveValues(beam.DoFn):
    """Gives a gauge the time of each value, and a summary, a counter and a histogram the values.

    Values of all bundles together are 0 to 19,999, in hundreds; no bundle has more than a part of each.
    """

    def __init__(self) -> None:
        self.set_at = obs.gauge("set_at_seconds")
        self.values = obs.summary("values", quantiles=[0.5, 0.99])
        self.bundles = obs.counter("bundles")
        self.count = obs.counter("values_given")
        self.sizes = obs.histogram("value_sizes", buckets=[49.995, 99.995])

    def start_bundle(self) -> None:
        self.bundles.inc()

    def process(self, bundle: int) -> Any:
        for number in range(VALUES_OF_BUNDLE):
            value = (number * BUNDLES + bundle) / 100
            self.values.observe(value)
            self.sizes.observe(value)
            self.count.inc()
        self.set_at.set(time.time())
        yield bundle


def in_bundles(pipeline: Any) -> None:
    """Applies the steps to a pipeline."""
    _ = (
        pipeline
        | "bundles" >> beam.Create(range(BUNDLES))
        | "spread" >> beam.Reshuffle()
        | "give" >> beam.ParDo(GiveValues())
    )


def check_kept(instruments: dict[str, Any]) -> None:
    """Holds the gauge and the summary of the end of a run against the values that were given."""
    families = {family["name"]: family for family in instruments["families"]}
    count = BUNDLES * VALUES_OF_BUNDLE
    (gauge,) = families["set_at_seconds"]["samples"]
    # Whatever bundle set it last: a float with its fraction, at the time that it tells itself; between
    # the two a busy machine may let it wait.
    assert abs(gauge["value"] - gauge["at"] / 1e6) < 5
    assert gauge["value"] != int(gauge["value"])
    (summary,) = families["values"]["samples"]
    assert summary["count"] == count
    assert abs(summary["sum"] - sum(range(count)) / 100) < 0.01
    for share, value in summary["quantiles"].items():
        assert abs(value * 100 / count - float(share)) <= 2 * summary["rank_error"] + 1 / count
    assert summary["rank_error"] < 0.002
    assert instruments["problems"] == []


def check_values(instruments: dict[str, Any]) -> None:
    """Holds the ``instruments`` of the end of a run against the values that were given."""
    check_kept(instruments)
    families = {family["name"]: family for family in instruments["families"]}
    count = BUNDLES * VALUES_OF_BUNDLE
    (counter,) = families["values_given_total"]["samples"]
    (histogram,) = families["value_sizes"]["samples"]
    assert counter["value"] == histogram["count"] == count
    assert histogram["buckets"] == {"49.995": 5000, "99.995": 10000, "+Inf": count}
    assert abs(histogram["sum"] - sum(range(count)) / 100) < 1e-3
    assert {sample["step"] for family in families.values() for sample in family["samples"]} == {"give"}
