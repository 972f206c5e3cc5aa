"""A real Prometheus reads the numbers of real runs, and answers what the end of each says."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import beam_obs as obs
from beam_obs.store.run_record import RunRecord, parse_time
from tests.engines.object_stores import free_port
from tests.engines.prism import prism_options
from tests.engines.prometheus import (
    Prometheus,
    check_metrics,
    installed,
    prometheus,
    pushgateway,
    running,
)
from tests.exporters.small_runs import run_small, scrape, series, values
from tests.patience import PATIENCE_SECONDS, eventually, wait_until

pytestmark = pytest.mark.engines

LINES = "".join(f"{number}\n" for number in range(200)) + "x\n" * 3

PROGRAM = """
import pathlib, sys, time
import apache_beam as beam
import beam_obs as obs
from beam_obs.runs import committed_so_far, watcher

watcher.LIVE_SECONDS = committed_so_far.LOOK_SECONDS = 0.2
ROWS = obs.counter("scraped_rows", "kind")
SIZES = obs.histogram("scraped_size_bytes", buckets=[1, 2])
LOAD = obs.gauge("scraped_load_ratio")


def until(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.05)


def parse(line):
    ROWS.labels(kind='a "kind"').inc()
    SIZES.observe(len(line))
    LOAD.set(0.5)
    return int(line)


def linger(number):
    until("go-on")
    return number


if __name__ == "__main__":
    with obs.Pipeline(argv=sys.argv[1:], name="scraped", store="store") as p:
        numbers = p | "read" >> obs.ReadFromText("lines.txt") | "parse" >> obs.Stage(beam.Map(parse))
        few = numbers | beam.Reshuffle() | "few" >> obs.Stage(beam.Filter(lambda number: number < 7))
        few | beam.Map(linger)
    until("end")
"""


@dataclasses.dataclass
class Watched:
    """A Prometheus, and the ports that it scrapes."""

    prometheus: Prometheus
    port: int
    gateway: int
    bridge: int


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    installed("promtool")
    port, bridge = free_port(), free_port()
    with pushgateway() as gateway:
        ports = {"run": port, "gateway": gateway, "bridge": bridge}
        with prometheus(tmp_path_factory.mktemp("prometheus"), ports) as found:
            yield Watched(found, port, gateway, bridge)


def check_counts(found: Prometheus, record: RunRecord, job: str) -> None:
    """Checks that what Prometheus answers of a run is what its end says, once it has all of it."""
    eventually(lambda: _check_counts(found, record, job))


def _check_counts(found: Prometheus, record: RunRecord, job: str) -> None:
    of = f'{{pipeline="{record.pipeline}",job="{job}"}}'
    end: Any = record.end
    steps = {step["label"]: step for step in [*end["steps"], *end["stages"]]}
    for name, field in (("in", "in"), ("out", "out")):
        query = f"max by (stage) (beam_obs_records_{name}_total{of})"
        assert found.values(query) == {
            (label,): step[field] for label, step in steps.items() if step[field] is not None
        }
    stages = {stage["label"]: stage for stage in end["stages"]}
    for query, field in (
        (f"max by (stage) (beam_obs_records_filtered_total{of})", "filtered"),
        (f"sum by (stage) (beam_obs_records_dead_total{of})", "dead"),
    ):
        assert found.values(query) == {(label,): stage[field] for label, stage in stages.items()}
    buckets = found.values(f"max by (stage, le) (beam_obs_latency_seconds_bucket{of})")
    for label, stage in stages.items():
        if stage["latency_us_le"]["inf"]:
            told = sorted(
                (float(le), count) for (le, of_stage), count in buckets.items() if of_stage == label
            )
            assert [count for _, count in told] == list(stage["latency_us_le"].values())
    told = found.values(f"beam_obs_run_status{of} == 1")
    assert [record.status in labels for labels in told] == [True]
    duration = found.value(f"beam_obs_run_duration_seconds{of}")
    assert duration == pytest.approx(record.seconds)


def test_a_run_is_scraped_while_it_lives_and_at_its_end(
    watched: Watched, start_program: Callable[..., Any], tmp_path: pathlib.Path
) -> None:
    pathlib.Path("lines.txt").write_text(LINES)
    found = watched.prometheus
    process = start_program(PROGRAM, "--runner=FnApiRunner", f"--obs_prometheus_port={watched.port}")
    try:
        of = '{pipeline="scraped",job="run"}'
        in_total = 'beam_obs_records_in_total{pipeline="scraped",stage="parse",job="run"}'
        found.wait_for(in_total, lambda value: value == 203)
        found.wait_for(f"sum(beam_obs_records_dead_total{of})", lambda value: value == 3)
        running_now = 'beam_obs_run_status{pipeline="scraped",job="run",status="running"}'
        found.wait_for(running_now, lambda value: value == 1)
        rows = 'scraped_rows_total{kind="a \\"kind\\"",stage="parse",job="run"}'
        found.wait_for(rows, lambda value: value == 203)
        assert check_metrics(scrape(watched.port)[2]) == ""
        pathlib.Path("go-on").touch()
        done = 'beam_obs_run_status{pipeline="scraped",job="run",status="done"}'
        found.wait_for(done, lambda value: value == 1)
        record = obs.Store("store").find("latest")
        check_counts(found, record, "run")
        assert check_metrics(scrape(watched.port)[2]) == ""
        for series_of_run, told in (
            ('scraped_rows_total{kind="a \\"kind\\"",job="run"}', 203),
            ('scraped_size_bytes_count{job="run"}', 203),
            ('scraped_size_bytes_sum{job="run"}', len(LINES.replace("\n", ""))),
            ('scraped_load_ratio{job="run"}', 0.5),
        ):
            found.wait_for(series_of_run, lambda value, told=told: value == told)
        check_exemplar(found, record)
    finally:
        pathlib.Path("end").touch()
        output = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, output


def test_users_instruments_are_scraped_while_a_job_lives_on_a_runner_that_tells_them(
    start_program: Callable[..., Any],
) -> None:
    pathlib.Path("lines.txt").write_text(LINES)
    options = prism_options()
    process = start_program(PROGRAM, "--runner=PrismRunner", "--obs_textfile=texts", *options)
    path = pathlib.Path("texts") / "beam_obs_scraped.prom"
    of = {"pipeline": "scraped", "stage": "parse"}

    def check() -> None:
        told = values(path.read_text()) if path.exists() else {}
        if process.poll() is not None:
            pytest.fail(f"{process.communicate()}")
        assert told.get(series("scraped_rows_total", kind='a "kind"', **of)) == 203
        assert told[series("beam_obs_run_status", pipeline="scraped", status="running")] == 1
        assert told[series("scraped_size_bytes_count", **of)] == 203

    try:
        eventually(check)
    finally:
        pathlib.Path("go-on").touch()
        pathlib.Path("end").touch()
        process.communicate(timeout=PATIENCE_SECONDS)


def check_exemplar(found: Prometheus, record: RunRecord) -> None:
    """Checks that Prometheus has the origin of a refused record as trace id."""
    now = time.time()
    query = 'beam_obs_records_dead_total{pipeline="scraped",stage="parse",error="ValueError"}'
    asked = {"query": query, "start": now - 600, "end": now + 600}
    series = wait_until("told of an exemplar", lambda: found.api("query_exemplars", **asked))
    (kind,) = (record.end or {})["dead_letters"]["by_fingerprint"]
    assert {one["labels"]["trace_id"] for told in series for one in told["exemplars"]} == {kind["origin"]}


def test_a_pushgateway_has_a_group_for_each_pipeline_and_keeps_the_last_success(
    watched: Watched, tmp_path: pathlib.Path
) -> None:
    address = f"--obs_pushgateway=http://127.0.0.1:{watched.gateway}"
    first = run_small(tmp_path / "store", address, name="pushed")
    run_small(tmp_path / "store", address, name="another")
    with pytest.raises(Exception, match="refused"):
        run_small(
            tmp_path / "store", address, "--obs_max_dead_rate=0.1", "--obs_max_dead_minimum=1", name="pushed"
        )
    found = watched.prometheus
    failed = 'beam_obs_run_status{pipeline="pushed",status="failed",job="beam_obs"}'
    found.wait_for(failed, lambda value: value == 1)
    check_counts(found, obs.Store(tmp_path / "store").find("pushed@latest"), "beam_obs")
    success = parse_time(first.end["finished"]).timestamp()
    told = 'beam_obs_run_last_success_timestamp_seconds{pipeline="pushed"}'
    found.wait_for(told, lambda value: value == success)
    found.wait_for('count(beam_obs_run_info{pipeline="pushed"})', lambda value: value == 1)
    with urllib.request.urlopen(f"http://127.0.0.1:{watched.gateway}/api/v1/metrics") as answer:
        groups = [group["labels"] for group in json.load(answer)["data"]]
    assert sorted((one["job"], one["pipeline"]) for one in groups) == [
        ("beam_obs", "another"),
        ("beam_obs", "pushed"),
        ("beam_obs_last_success", "another"),
        ("beam_obs_last_success", "pushed"),
    ]
    assert check_metrics(scrape(watched.gateway)[2].partition("# HELP go_")[0]) == ""


def test_one_bridge_serves_all_pipelines_of_a_store(watched: Watched, tmp_path: pathlib.Path) -> None:
    store = tmp_path / "store"
    records = [run_small(store, name=name) for name in ("first", "second")]
    command = [sys.executable, "-m", "beam_obs.cli", "exporter", "--store", str(store), "--every", "1s"]
    command += ["--prometheus-port", str(watched.bridge)]
    with running(command, f"http://127.0.0.1:{watched.bridge}/metrics"):
        found = watched.prometheus
        for record in records:
            done = f'beam_obs_run_status{{pipeline="{record.pipeline}",job="bridge",status="done"}}'
            found.wait_for(done, lambda value: value == 1)
            check_counts(found, record, "bridge")
        assert check_metrics(scrape(watched.bridge)[2]) == ""
        of = 'pipeline="first",job="bridge"'
        taken = f'beam_obs_records_in_total{{{of},stage="parse"}}'
        joined = f"{taken} * on (pipeline) group_left (run) beam_obs_run_info{{{of}}}"
        wait_until("joined", lambda: [records[0].id in one for one in found.values(joined)] == [True])
        newer = run_small(store, name="first", lines="1\n2\nx\ny\nz\n")
        in_total = 'beam_obs_records_in_total{pipeline="first",stage="parse",job="bridge"}'
        found.wait_for(in_total, lambda value: value == 5)
        check_counts(found, newer, "bridge")
        store.rename(tmp_path / "away")
        found.wait_for('up{job="bridge"}', lambda value: value == 0)


def test_pages_are_scraped_with_their_token(tmp_path: pathlib.Path) -> None:
    record, port = run_small(tmp_path / "store", name="served"), free_port()
    (tmp_path / "token").write_text("s3cret\n")
    command = [sys.executable, "-m", "beam_obs.cli", "serve", "--store", str(tmp_path / "store")]
    jobs = [
        {
            "job_name": "pages",
            "honor_labels": True,
            "authorization": {"credentials_file": str(tmp_path / "token")},
            "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
        },
        {"job_name": "without", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
    ]
    process = subprocess.Popen([*command, "--port", str(port), "--token", "s3cret"])
    try:
        with prometheus(tmp_path, {}, {"scrape_configs": jobs}) as found:
            status = 'beam_obs_run_status{pipeline="served",status="done"}'
            found.wait_for(status, lambda value: value == 1)
            check_counts(found, record, "pages")
            found.wait_for('up{job="without"}', lambda value: value == 0)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
