"""A port of the launching process that shows the numbers of its runs."""

from __future__ import annotations

import logging
import pathlib
import shutil
import socket
from collections.abc import Iterator

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.exporters.listening import AddressNotFree
from beam_obs.exporters.prometheus_port import PrometheusPort
from beam_obs.metrics import own_families as own
from beam_obs.metrics.families import Sample
from beam_obs.metrics.run_numbers import RunNumbers
from beam_obs.runs import watcher
from tests.engines.object_stores import free_port
from tests.exporters.small_runs import run_small, scrape, series, values
from tests.patience import wait_until


def numbers(pipeline: str, run: str, success: float | None = None) -> RunNumbers:
    families = [own.own_family(own.RUN_START, [Sample("", value=float(run))])]
    if success is not None:
        families.append(own.own_family(own.RUN_LAST_SUCCESS, [Sample("", value=success)]))
    return RunNumbers(pipeline, run, 0, tuple(families))


def shown(port: int) -> dict[str, float]:
    # Runs of other tests in this process are shown too.
    return {
        f"{name.removeprefix('beam_obs_run_')} {dict(labels)['pipeline']}": value
        for (name, labels), value in values(scrape(port)[2]).items()
        if dict(labels)["pipeline"] in ("a", "b")
    }


def test_a_run_shows_its_numbers_and_they_stay_when_it_has_ended(tmp_path: pathlib.Path) -> None:
    port = free_port()
    run_small(tmp_path / "store", f"--obs_prometheus_port={port}")
    status, kind, text = scrape(port)
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    of_parse = {"pipeline": "small", "stage": "parse"}
    assert values(text)[series("beam_obs_records_in_total", **of_parse)] == 3
    _, kind, text = scrape(port, accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert "# {trace_id=" in text
    assert scrape(port, "/other")[0] == 404
    run_small(tmp_path / "store", f"--obs_prometheus_port={port}", name="other")
    found = values(scrape(port)[2])
    assert found[series("beam_obs_run_status", pipeline="small", status="done")] == 1
    assert found[series("beam_obs_run_status", pipeline="other", status="done")] == 1


def test_the_newest_run_of_each_pipeline_is_shown_with_the_last_success_of_all() -> None:
    exporter = PrometheusPort("0")
    port = exporter.port
    for one in (numbers("a", "2", success=20.0), numbers("b", "1"), numbers("a", "3"), numbers("a", "1")):
        exporter.export(one)
    assert shown(port) == {
        "start_timestamp_seconds a": 3,
        "last_success_timestamp_seconds a": 20,
        "start_timestamp_seconds b": 1,
    }
    exporter.expect({"b"})
    assert shown(port) == {"start_timestamp_seconds b": 1}
    exporter.expect(None)
    assert scrape(port)[0] == 503
    exporter.expect({"b"})
    assert scrape(port)[0] == 200


def test_a_port_that_is_taken_is_logged_and_the_run_goes_on(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressNotFree, match=f"127.0.0.1:{port} cannot be listened on: Address"):
            PrometheusPort(str(port))
        caplog.set_level(logging.ERROR)
        assert run_small(tmp_path / "store", f"--obs_prometheus_port={port}").status == "done"
    (said,) = caplog.messages
    assert f"nothing is exported to prometheus_port={port}" in said


def test_it_listens_on_this_machine_alone_unless_told_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ports = free_port(), free_port()
    for where in (str(ports[0]), f"0.0.0.0:{ports[1]}"):
        assert scrape(PrometheusPort(where).port)[0] == 200
    assert caplog.messages == [
        f"Prometheus can scrape http://127.0.0.1:{ports[0]}/metrics",
        f"Prometheus can scrape http://0.0.0.0:{ports[1]}/metrics",
    ]


class Remove(beam.DoFn):
    """Removes the store of its own run, and waits until what came after is told all the same."""

    def __init__(self, store: pathlib.Path, port: int) -> None:
        self.store = store
        self.port = port

    def process(self, element: int) -> Iterator[int]:
        if element == 0:
            shutil.rmtree(self.store)
        if element == 9:
            taken = series("beam_obs_records_in_total", pipeline="away", stage="remove")
            wait_until("told", lambda: values(scrape(self.port)[2]).get(taken) == 10)
        yield element


def test_numbers_are_told_while_the_store_is_away(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.02)
    store, port = tmp_path / "store", free_port()
    argv = ["--obs_report=off", f"--obs_prometheus_port={port}"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="away", store=str(store)) as p:
        _ = (
            p
            | beam.Create(range(10), reshuffle=False)
            | "remove" >> obs.Stage(beam.ParDo(Remove(store, port)))
        )
    assert values(scrape(port)[2])[series("beam_obs_run_status", pipeline="away", status="done")] == 1
