"""Types of errors are known when a run has ended: no target counts a refusal without one and then with it."""

from __future__ import annotations

import dataclasses
import time

import pytest

from beam_obs.exporters.cloud_monitoring import CloudMonitoring
from beam_obs.exporters.otlp import Otlp
from beam_obs.exporters.sent_totals import SentTotals
from beam_obs.exporters.statsd import statsd_lines
from beam_obs.exporters.steady_refusals import SteadyRefusals
from beam_obs.metrics.families import Sample
from beam_obs.metrics.own_families import RECORDS_DEAD, own_family
from beam_obs.metrics.run_numbers import RunNumbers
from tests.exporters.cloud_monitoring_server import running_cloud_monitoring
from tests.exporters.otlp_receiver import receiving_by_http

NOW = int(time.time() * 1_000_000)


def refused(final: bool, at: int = NOW, **counts: int) -> RunNumbers:
    samples = [Sample("parse", {"error": error}, value=count) for error, count in counts.items()]
    return RunNumbers("small", "1", at, (own_family(RECORDS_DEAD, samples),), final)


LIVE = refused(False, NOW - 20_000_000, **{"": 2})
FINAL = refused(True, KeyError=1, ValueError=2)


def test_a_run_of_which_no_refusal_was_told_has_types() -> None:
    steady = SteadyRefusals()
    steady.of(refused(False, **{"": 0}))
    assert steady.of(FINAL) == FINAL


def test_a_collector_is_told_one_series_of_a_run_that_lived() -> None:
    with receiving_by_http() as received:
        target = Otlp(received.address)
        target.send(LIVE)
        target.send(FINAL)
    told = [
        {labels: value for (name, labels), value in received.values(request).items() if name == RECORDS_DEAD}
        for request in range(2)
    ]
    assert list(map(list, map(dict.values, told))) == [[2], [3]]
    assert told[0].keys() == told[1].keys()


def test_cloud_monitoring_is_told_one_series_of_a_run_that_lived() -> None:
    with running_cloud_monitoring() as (server, client):
        target = CloudMonitoring("weather", client)
        target.send(LIVE)
        target.send(FINAL)
        (points,) = server.points.values()
    assert [point.value for point in points] == [2, 3]


@pytest.mark.parametrize("is_taken_over", [True, False])
def test_another_that_may_have_told_a_run_while_it_lived_counts_too(is_taken_over: bool) -> None:
    given = dataclasses.replace(FINAL, is_taken_over=is_taken_over)
    lines, _ = statsd_lines(SteadyRefusals().of(given), SentTotals(0, {}))
    errors = {tag for line in lines for tag in line.tags if tag.startswith("error:")}
    assert errors == ({"error:"} if is_taken_over else {"error:KeyError", "error:ValueError"})
    assert sum(line.value for line in lines) == 3
