"""A stream whose sink slows backs up, tells of it, and makes up for it: on Prism, with a real Prometheus."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.dead_letters import evidence_writer
from beam_obs.metrics import own_families as own
from beam_obs.runs import committed_so_far, watcher
from benchmarks.steady_source import steady
from tests.engines.alertmanager import alertmanager, receiver
from tests.engines.object_stores import free_port
from tests.engines.prism import prism_options
from tests.engines.prometheus import installed, prometheus
from tests.engines.test_notified import told_of, told_to
from tests.patience import wait_until

pytestmark = pytest.mark.engines

KEYS = 10
LIMIT_SECONDS = 9
"""That the oldest may be: a window of a second, and the eight seconds that the rule looks at."""
BACKED_UP = ("BeamBackedUp", "orders")
LAG = " / ".join(f'rate({own.EVENT_LAG}_{part}{{stage="receipts"}}[4s])' for part in ("sum", "count"))
"""Age of what is delivered, when it is."""


def key_of(number: int) -> tuple[int, int]:
    return number % KEYS, number


def deliver(keyed: tuple[int, Iterable[int]]) -> tuple[int, int]:
    """Takes a second for each group, once somebody says so: ten times as long as they take to come."""
    until = time.monotonic() + 1
    while pathlib.Path("slow").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return keyed[0], len(list(keyed[1]))


def build(pipeline: Any, until: pathlib.Path) -> None:
    delivered = (
        steady(pipeline, 40, until)
        | "key" >> beam.Map(key_of)
        | "windows" >> beam.WindowInto(FixedWindows(1))
        | "group" >> beam.GroupByKey()
        | "deliver" >> obs.Stage(beam.Map(deliver).with_output_types(tuple[int, int]))
    )
    _ = (
        delivered
        | "receipts" >> beam.CombinePerKey(sum)
        | "write" >> obs.WriteToJson(str(until.parent / "out" / "receipts"), triggering_frequency=1)
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are there as soon as can be."""
    monkeypatch.setattr(evidence_writer, "STREAMING_SECONDS", 1)
    monkeypatch.setattr(committed_so_far, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.5)


@pytest.mark.usefixtures("quick")
def test_a_stream_whose_sink_slows_tells_of_it_and_loses_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("prometheus")
    installed("prometheus-alertmanager")
    monkeypatch.chdir(tmp_path)
    port, until, store = free_port(), tmp_path / "ends", str(tmp_path / "store")
    arguments = ["--streaming", f"--obs_store={store}", f"--obs_prometheus_port={port}", "--obs_report=off"]
    pipeline = obs.Pipeline(
        "PrismRunner", options=PipelineOptions([*prism_options(), *arguments]), name="orders"
    )
    build(pipeline, until)
    result = pipeline.run()
    try:
        wait_until("known what waits", lambda: oldest_of(store) is not None)
        rules = tmp_path / "rules.yml"
        asked = ["alerts", "orders", "--for", "prometheus", "--window", "8s", "--store", store]
        rules.write_text(CliRunner().invoke(command_line, asked, catch_exceptions=False).stdout)
        with (
            receiver() as (webhook, alerts),
            alertmanager(tmp_path, webhook) as place,
            prometheus(tmp_path, {"beam_obs": port}, told_to(place, [rules])) as server,
        ):
            before = server.wait_for(LAG, lambda lag: lag is not None and lag < 3) or 0.0
            pathlib.Path("slow").touch()
            wait_until("told that it is backed up", lambda: (*BACKED_UP, "firing") in states(alerts))
            oldest = server.value(f"max({own.OLDEST_UNPROCESSED})") or 0.0

            pathlib.Path("slow").unlink()
            wait_until("told that it is over", lambda: (*BACKED_UP, "resolved") in states(alerts))
            server.wait_for(f"max({own.OLDEST_UNPROCESSED})", lambda age: (age or 0.0) < LIMIT_SECONDS)
            server.wait_for(LAG, lambda lag: lag is not None and lag < before + 1)
            lag = server.value(f"max_over_time(({LAG})[2m:1s])") or 0.0
        until.touch()
        result.wait_until_finish()
    finally:
        until.touch()
        result.cancel()

    assert oldest > LIMIT_SECONDS
    assert lag > before + 1
    # A busy machine lets a stream stand still for as long as the rule looks at.
    assert {name for name, _, _ in states(alerts)} - {"BeamThroughputGone"} == {"BeamBackedUp"}
    end = obs.Store(store).find("orders@latest").end or {}
    assert (end["status"], end["ledger"]["holds"], end["balance"]["broken"]) == ("done", True, [])
    assert end["balance"]["dropped"] == []


def oldest_of(store: str) -> float | None:
    live = obs.Store(store).find("orders@latest").live or {}
    return next((one["oldest"] for one in live.get("waiting") or () if one["step"] == "group"), None)


def states(alerts: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(*told_of(alert), alert["status"]) for alert in alerts}
