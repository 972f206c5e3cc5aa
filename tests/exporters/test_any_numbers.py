"""Whatever a store holds: every target takes what is right of it, and nothing else stops it."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import socket
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_obs.exporters.cloud_monitoring import CloudMonitoring
from beam_obs.exporters.json_lines import JsonNumbers
from beam_obs.exporters.otlp import Otlp
from beam_obs.exporters.statsd import Statsd
from beam_obs.metrics.families import COUNTER, GAUGE, HISTOGRAM, SUMMARY, Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from tests.exporters.cloud_monitoring_server import CloudMonitoringServer, running_cloud_monitoring
from tests.exporters.otlp_receiver import Received, receiving_by_http

TEXTS = st.text(st.characters(exclude_categories=()), max_size=1200)
"""Also with halves of characters, as JSON may have them."""

LABELS = st.dictionaries(st.sampled_from(["error", "kind", "shard"]), TEXTS, max_size=3)
STEPS = TEXTS.map(lambda text: text[:40])
VALUES = st.integers(0, 2**53) | st.floats(allow_nan=True, allow_infinity=True)
COUNTS = st.integers(0, 2**40)


def told(name: str, kind: str) -> st.SearchStrategy[Sample]:
    """Samples of a kind, some of which make no sense."""
    if kind == HISTOGRAM:
        bounds = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8, unique=True)
        right = st.builds(_cumulative, bounds, st.lists(COUNTS, min_size=9, max_size=9))
        wrong = st.dictionaries(st.sampled_from(["1.0", "2.0", "+Inf", "much"]), st.integers(-3, 3))
        return st.builds(Sample, STEPS, LABELS, buckets=right | wrong, sum=st.none() | st.floats(-1e9, 1e9))
    if kind == SUMMARY:
        quantiles = st.dictionaries(st.sampled_from(["0.5", "0.99"]), VALUES)
        window = st.just(60.0 if name == "recent_seconds" else None)
        return st.builds(
            Sample,
            STEPS,
            LABELS,
            quantiles=quantiles,
            count=COUNTS,
            sum=st.none() | VALUES,
            window_seconds=window,
        )
    return st.builds(Sample, STEPS, LABELS, value=COUNTS if kind == COUNTER else st.none() | VALUES)


def _cumulative(bounds: list[float], counts: list[int]) -> dict[str, int]:
    ends = [*map(repr, sorted(bounds)), "+Inf"]
    return {bound: sum(counts[: place + 1]) for place, bound in enumerate(ends)}


KINDS = {
    "rows_total": COUNTER,
    "load": GAUGE,
    "size_bytes": HISTOGRAM,
    "wait_seconds": SUMMARY,
    "recent_seconds": SUMMARY,
}
FAMILIES = st.tuples(
    *(
        st.builds(Family, st.just(name), st.just(kind), st.lists(told(name, kind), max_size=3).map(tuple))
        for name, kind in KINDS.items()
    )
)


class Targets(NamedTuple):
    """Targets of this machine, and what they got."""

    cloud: CloudMonitoringServer
    client: Any
    received: Received
    packets: socket.socket


@pytest.fixture(scope="module")
def targets() -> Iterator[Targets]:
    with (
        running_cloud_monitoring() as (cloud, client),
        receiving_by_http() as received,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets,
    ):
        packets.bind(("127.0.0.1", 0))
        packets.setblocking(False)
        yield Targets(cloud, client, received, packets)


@settings(max_examples=40)
@given(families=FAMILIES)
@pytest.mark.slow
def test_every_target_takes_any_numbers(targets: Targets, families: tuple[Family, ...]) -> None:
    numbers = RunNumbers("small", str(uuid.uuid4()), int(time.time() * 1_000_000), families)
    later = dataclasses.replace(numbers, at=numbers.at + 10_000_000, is_final=True)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "numbers.jsonl"
        for one in (
            CloudMonitoring("weather", targets.client),
            Otlp(targets.received.address),
            Statsd(f"127.0.0.1:{targets.packets.getsockname()[1]}"),
            JsonNumbers(str(path)),
        ):
            one.send(numbers)
            one.send(later)
            if not isinstance(one, CloudMonitoring):  # whose client others use
                one.close()
        for line in path.read_text().splitlines():
            assert json.loads(line)["name"] in KINDS
    while True:
        try:
            packet = targets.packets.recv(65_536).decode()
        except BlockingIOError:
            break
        for line in packet.splitlines():
            name, value = line.split("|")[0].split(":")
            assert float(value) == float(value)
            assert name.startswith(tuple(KINDS))
