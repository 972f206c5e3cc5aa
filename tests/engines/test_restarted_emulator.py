"""The stream of flights goes on when Pub/Sub is away for a while, and fails when its subscription is gone."""

from __future__ import annotations

import contextlib
import csv
import pathlib
import time
from collections.abc import Iterable, Iterator

import fastavro
import pytest
from apache_beam.runners.runner import PipelineState

import beam_obs as obs
from beam_obs.runs import watcher
from beam_obs.store.evidence import DEAD_LETTERS, read_evidence
from pipelines.flights import stream
from pipelines.flights.replay_source import FLIGHTS, Event, Sent, events, publish
from pipelines.flights.stream_options import stream_options
from tests.engines.gate import Gate, gate
from tests.engines.object_stores import free_port
from tests.engines.pubsub_emulator import running_emulator
from tests.patience import wait_until

pytestmark = pytest.mark.engines
pytest.importorskip("google.cloud.pubsub", reason="pip install 'beam_obs[gcp]'")

TOPIC = "projects/flights-test/topics/flights"
SUBSCRIPTION = "projects/flights-test/subscriptions/flights"
HALF = 20


@contextlib.contextmanager
def emulator(way: Gate, monkeypatch: pytest.MonkeyPatch, has_topic: bool = True) -> Iterator[None]:
    """Runs an emulator, to which a gate is opened when it has what the stream asks for."""
    from google.cloud import pubsub

    with running_emulator() as address:
        if has_topic:
            with monkeypatch.context() as changed:
                changed.setenv("PUBSUB_EMULATOR_HOST", address)
                pubsub.PublisherClient().create_topic(name=TOPIC)
                pubsub.SubscriberClient().create_subscription(name=SUBSCRIPTION, topic=TOPIC)
        way.open(int(address.rpartition(":")[2]))
        try:
            yield
        finally:
            way.shut()


def send(given: Iterable[Event]) -> None:
    """Publishes flights that leave now."""
    publish((Sent(event, time.time()) for event in given), TOPIC)


def flights() -> list[Event]:
    """Returns forty flights, of which each tenth is torn."""
    with FLIGHTS.open(newline="") as file:
        given = events([row for row, _ in zip(csv.DictReader(file), range(2 * HALF), strict=False)])
    return [event._replace(data=event.data[:20]) if at % 10 == 3 else event for at, event in enumerate(given)]


def counted(folder: pathlib.Path, windows: str) -> int:
    """Returns how many flights are in the statistics of a kind of windows that are written so far."""
    files = folder.glob(f"departures-{windows}-*.avro")
    return sum(row["flights"] for file in files for row in fastavro.reader(file.open("rb")))


def test_flights_are_counted_once_though_the_emulator_is_away(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.5)
    port, store = free_port(), obs.Store(str(tmp_path / "store"))
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
    arguments = [
        "--runner=DirectRunner",
        "--streaming",
        f"--subscription={SUBSCRIPTION}",
        f"--output={tmp_path / 'departures'}",
        "--window_seconds=2",
        "--early_seconds=1",
        f"--obs_store={store.uri}",
        "--obs_report=off",
    ]
    options, given = stream_options(arguments), flights()
    pipeline = obs.Pipeline(options=options, name="flights")
    stream.build(pipeline, options)

    def came_through(number: int) -> bool:
        """Whether so many flights are in the statistics, and what was refused beside them is committed."""
        refused = read_evidence(store, result.beam_obs_run.record.folder).of_kind(DEAD_LETTERS)
        return (
            counted(tmp_path, "fixed") == number * 9 // 10
            and counted(tmp_path, "sliding") == 2 * number * 9 // 10
            and sum(manifest.count for manifest in refused) == number // 10
        )

    with gate(port) as way:
        with emulator(way, monkeypatch):
            result = pipeline.run()
            send(given[:HALF])
            wait_until("counted, all that was sent before", lambda: came_through(HALF))
        with emulator(way, monkeypatch):
            send(given[HALF:])
            wait_until("counted, all that was sent", lambda: came_through(2 * HALF))
        # It has nothing of what was there before, and this time nobody makes a subscription.
        with emulator(way, monkeypatch, has_topic=False):
            wait_until("given up", lambda: bool(PipelineState.is_terminal(result.state)))
            # The run's end is written thereafter.
            wait_until("told of", lambda: store.find("flights@latest").status != "running")

    assert result.state == PipelineState.FAILED
    run = store.find("flights@latest")
    assert run.status_text == f"failed, {HALF // 5} dead"
    assert run.end is not None
    assert "Subscription does not exist" in run.end["error"]["message"]
    assert came_through(2 * HALF)
