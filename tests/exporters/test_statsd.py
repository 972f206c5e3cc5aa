"""Numbers of runs by StatsD: the packets as they arrive, and what a real server made of them."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import pathlib
import re
import shutil
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.exporters.sending import SendingExporter
from beam_obs.exporters.statsd import Statsd
from beam_obs.metrics.families import Family, Sample
from beam_obs.metrics.run_numbers import RunNumbers
from tests.engines.install import STATSD
from tests.engines.object_stores import free_port, running
from tests.exporters.conftest import PROGRAM
from tests.exporters.end_json import Series, buckets_of, gauges_of, refusals_of, refused_in, totals_of
from tests.patience import wait_until

SECONDS = 10.0


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A UDP socket of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(0.2)
        yield found


def target_of(receiver: socket.socket) -> Statsd:
    return Statsd(f"127.0.0.1:{receiver.getsockname()[1]}")


def received(receiver: socket.socket) -> list[str]:
    """Returns the lines that have come."""
    lines: list[str] = []
    with contextlib.suppress(TimeoutError):
        while True:
            packet = receiver.recv(65_536)
            assert len(packet) <= 1432  # an Ethernet frame
            lines += packet.decode().splitlines()
    return lines


def parsed(line: str) -> tuple[Series, float, str]:
    """Returns the series, value and type of a line of DogStatsD."""
    named, kind, *others = line.split("|")
    name, _, value = named.partition(":")
    (tags,) = [other[1:] for other in others if other.startswith("#")]
    labels = dict(tag.split(":", 1) for tag in tags.split(","))
    del labels["pipeline"]
    return (name, frozenset(labels.items())), float(value), kind


def counted(rows: int, run: str = "1", final: bool = False) -> RunNumbers:
    family = Family("rows_total", "counter", (Sample("use", value=rows),))
    return RunNumbers("small", run, 0, (family,), final)


def test_all_numbers_of_a_run_arrive_as_the_store_has_them(
    receiver: socket.socket, numbers: RunNumbers, store_of_numbers: pathlib.Path
) -> None:
    target_of(receiver).send(numbers)

    counters: collections.Counter[Series] = collections.Counter()
    gauges: dict[Series, float] = {}
    for series, value, kind in map(parsed, received(receiver)):
        if kind == "c":
            counters[series] += value
        else:
            assert kind == "g"
            gauges[series] = value
    for series, total in {**totals_of(store_of_numbers), **refusals_of(store_of_numbers)}.items():
        assert counters[series] == total
    for series, value in gauges_of(store_of_numbers).items():
        assert gauges[series] == pytest.approx(value)
    for (name, labels), buckets in buckets_of(store_of_numbers).items():
        told = {
            bound: counters[f"{name}_bucket", labels | {("le", bound.replace("+Inf", "inf"))}]
            for bound in buckets
        }
        assert told == buckets
        assert counters[f"{name}_count", labels] == buckets["+Inf"]


def test_a_counter_tells_what_was_counted_since_the_last_time(receiver: socket.socket) -> None:
    target = target_of(receiver)
    for rows in (3, 3, 10):
        target.send(counted(rows))
    for _ in range(2):
        target.send(counted(12, final=True))
    target.send(counted(4, run="2"))
    lines = [parsed(line)[1:] for line in received(receiver)]
    assert lines == [(3, "c"), (7, "c"), (2, "c"), (4, "c")]


def test_what_another_may_have_sent_of_a_run_is_not_sent_again(receiver: socket.socket) -> None:
    target = target_of(receiver)
    for rows in (10, 12):
        target.send(dataclasses.replace(counted(rows), is_taken_over=True))
    assert [parsed(line)[1:] for line in received(receiver)] == [(2, "c")]


@given(totals=st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_changes_add_up_to_the_last_total(totals: list[int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.01)
        target = target_of(receiver)
        for total in totals:
            target.send(counted(total))
        assert sum(parsed(line)[1] for line in received(receiver)) == totals[-1]


def test_texts_cannot_break_a_line(receiver: socket.socket) -> None:
    sample = Sample("a|b,c\nd", {"error": "x:y#z"}, value=1)
    target_of(receiver).send(RunNumbers("small", "1", 0, (Family("rows_total", "counter", (sample,)),)))
    (line,) = received(receiver)
    assert line.startswith("rows_total:1|c|#pipeline:small,stage:a_b_c_d,error:x:y_z")


def test_a_gauge_below_zero_is_set_where_a_sign_would_mean_a_change(receiver: socket.socket) -> None:
    gauge = Family("balance", "gauge", (Sample("use", value=-2.5),))
    target_of(receiver).send(RunNumbers("small", "1", 0, (gauge,)))
    assert [line.split("|")[0] for line in received(receiver)] == ["balance:0", "balance:-2.5"]


def test_a_server_that_is_away_gets_the_whole_when_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    exporter = SendingExporter(Statsd(f"127.0.0.1:{port}"))
    exporter.export(counted(3))
    wait_until("told", lambda: "cannot be reached" in caplog.text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", port))
        receiver.settimeout(0.2)
        exporter.export(counted(5, final=True))
        assert exporter.close(SECONDS)
        lines = [parsed(line)[1:] for line in received(receiver)]
    assert lines == [(5, "c")]
    assert len(caplog.messages) == 1


def test_a_server_that_never_comes_is_said_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    exporter = SendingExporter(Statsd(f"127.0.0.1:{free_port()}"))
    exporter.export(counted(3, final=True))
    assert not exporter.close(SECONDS)
    assert exporter.dropped("1") == 1
    assert sum("cannot be reached" in message for message in caplog.messages) == 1
    assert {record.name.split(".")[0] for record in caplog.records} == {"beam_obs"}


@pytest.mark.engines
def test_a_real_server_has_the_totals_of_a_run_that_sent_while_it_lived(
    tmp_path: pathlib.Path, run_program: Callable[..., tuple[int, str, str]]
) -> None:
    node, server = shutil.which("node"), STATSD.path / "node_modules" / "statsd" / "stats.js"
    if node is None or not server.exists():
        pytest.skip("StatsD is not installed: make engines (it needs Node.js and npm)")
    port, management = free_port(), free_port()
    settings = {"port": port, "mgmt_port": management, "address": "127.0.0.1", "mgmt_address": "127.0.0.1"}
    configuration = tmp_path / "statsd.js"
    # So long an interval leaves all counters there to be asked.
    configuration.write_text(json.dumps({**settings, "backends": [], "flushInterval": 3_600_000}))
    with running([node, str(server), str(configuration)], management):
        options = ["--runner=FnApiRunner", f"--obs_statsd=127.0.0.1:{port}", "--obs_store=store"]
        code, _, errors = run_program(PROGRAM, *options)
        assert code == 0, errors
        counters, gauges = (asked(management, what) for what in ("counters", "gauges"))

    store = pathlib.Path("store").absolute()
    for series, total in totals_of(store).items():
        assert counters.get(series, 0) == total
    assert refused_in(counters) == refused_in(refusals_of(store)) == 3
    for series, value in gauges_of(store).items():
        assert gauges[series] == pytest.approx(value)


def asked(management: int, what: str) -> dict[Series, float]:
    """Returns what the server answers at its port of management, without the label of the pipeline."""
    with socket.create_connection(("127.0.0.1", management), timeout=SECONDS) as connection:
        connection.sendall(f"{what}\n".encode())
        answer = b""
        while b"END" not in answer:
            answer += connection.recv(65_536)
    found = {}
    for key, value in re.findall(r"'([^']+)': ([-0-9.e]+)", answer.decode()):
        name, *tags = key.split(";")
        labels = dict(tag.split("=", 1) for tag in tags)
        labels.pop("pipeline", None)
        found[name, frozenset(labels.items())] = float(value)
    return found
