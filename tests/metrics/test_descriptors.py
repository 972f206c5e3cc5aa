"""Our metrics leave room for the user's: Dataflow limits descriptors, one a name, four a distribution."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter

import beam_obs as obs
from beam_obs.metrics import names

MOST_NAMES = 30
MOST_DESCRIPTORS = 40
"""So much of the limit is ours; the rest is the user's."""
_OF_A_DISTRIBUTION = 4
_NO_METRICS = ("NAMESPACE", "LATENCY_PREFIX", "INNER_LEAF", "LATER_LEAF")
_OF_CANARIES = "CANAR"
"""Instruments as a user's own, which a pipeline without canaries does not have."""


def declared() -> set[str]:
    constants = {
        value
        for name, value in vars(names).items()
        if name.isupper()
        and isinstance(value, str)
        and name not in _NO_METRICS
        and not name.startswith(_OF_CANARIES)
    }
    return constants | set(names.LATENCY_NAMES)


def test_there_are_no_more_names_than_a_job_can_have() -> None:
    assert len(declared()) <= MOST_NAMES
    assert len(declared()) - 1 + _OF_A_DISTRIBUTION <= MOST_DESCRIPTORS
    assert all(len(name) <= 100 for name in declared())


def test_a_run_counts_under_no_other_names() -> None:
    with obs.Pipeline("FnApiRunner", name="numbers") as p:
        numbers = p | "make" >> beam.Create(["1", "x", "3"]) | "parse" >> obs.Stage(beam.Map(int))
        _ = numbers | "key" >> beam.WithKeys(0) | "sum" >> beam.CombinePerKey(sum)
        _ = numbers | "many" >> obs.Stage(beam.Filter(lambda number: number > 2))
    told = p.result.metrics().query(MetricsFilter().with_namespace(names.NAMESPACE))
    found = {one.key.metric.name for kind in ("counters", "distributions") for one in told[kind]}
    assert {"in", "out", "dead"} <= found
    assert found <= declared()
