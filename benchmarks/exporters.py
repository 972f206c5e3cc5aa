"""What exporting costs: `python -m benchmarks.exporters`.

Three figures: CPU time of the threads that send the numbers of a year of flights, of that of the process; CPU
time of a snapshot of a job with 200 stages; memory of one `beam-obs exporter` that serves 1,000 pipelines of
ten stages.
"""

from __future__ import annotations

import argparse
import functools
import http.client
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

import apache_beam as beam

import beam_obs as obs
from beam_obs.exporters.prometheus_text import prometheus_text
from beam_obs.metrics import snapshot
from beam_obs.store.numbers_of_run import numbers_of_run
from benchmarks import watch
from benchmarks.measure import Verdict, print_verdicts
from benchmarks.store import copy_run
from pipelines.flights.fetch_full_year import FULL_YEAR, fetch_full_year

TARGET_PERCENT = 1.0
TARGET_MILLISECONDS = 50.0
TARGET_MEGABYTES = 150.0

THREADS = ("prometheus_port", "textfile", "statsd", "json_lines")
_OF_FLIGHT = {f"beam_obs exporter {name}": name for name in THREADS}


def measure_threads(pattern: str, reference: pathlib.Path) -> Verdict:
    """Returns what exporters take of a flights run.

    Args:
      pattern: the files of flights.
      reference: folder of the reference tables.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket(type=socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))  # what is sent there nobody reads
        options = [
            "--obs_prometheus_port=0",
            f"--obs_statsd=127.0.0.1:{statsd.getsockname()[1]}",
            f"--obs_textfile={folder}/texts",
            f"--obs_json_lines={folder}/numbers.jsonl",
        ]
        took = watch.run(pattern, reference, options, list(_OF_FLIGHT))
    print(f"\n  a run of {took.wall:.1f} s took {took.cpu:.1f} s of CPU, of which exporters")
    for name, seconds in took.threads.items():
        print(f"  {_OF_FLIGHT[name]:<20}{1000 * seconds:>8.1f} ms")
    met = took.percent <= TARGET_PERCENT
    return Verdict("CPU of exporters", f"{took.percent:.3f} %", f"<= {TARGET_PERCENT} %", met)


def measure_snapshot(stages: int, repeats: int) -> Verdict:
    """Returns how long a snapshot of a job with many stages takes; prints what follows from it."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"{folder}/store"
        result = run_stages(store, "many", stages)
        record = obs.Store(store).find("latest")
    numbers = numbers_of_run(record)
    print(f"\n  {stages} stages:")
    took = _milliseconds("snapshot of its result", lambda: snapshot(result), repeats)
    _milliseconds("numbers of its run", lambda: numbers_of_run(record), repeats)
    _milliseconds("a scrape of them", lambda: b"".join(prometheus_text([numbers])), repeats)
    met = took <= TARGET_MILLISECONDS
    return Verdict(f"snapshot, {stages} stages", f"{took:.1f} ms", f"<= {TARGET_MILLISECONDS:g} ms", met)


def _milliseconds(name: str, run: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        taken.append(1000 * (time.process_time() - began))
    median = statistics.median(taken)
    print(f"  {name:<24}{median:>8.1f} ms")
    return median


def run_stages(store: str, name: str, stages: int) -> Any:
    """Runs a pipeline of many stages, and returns its result."""
    argv = [f"--obs_store={store}", "--obs_report=off", "--obs_sample_rate=1"]
    with obs.Pipeline("FnApiRunner", argv=argv, name=name) as p:
        numbers = p | beam.Create([str(number) for number in range(50)]) | "parse" >> obs.Stage(beam.Map(int))
        for number in range(1, stages):
            numbers |= f"step {number}" >> obs.Stage(beam.Map(functools.partial(max, number)))
    return p.result


def measure_bridge(pipelines: int, stages: int) -> Verdict:
    """Returns the memory of a command that serves the numbers of many pipelines."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "store"
        run_stages(str(root), "nightly-0", stages)
        original = root / obs.Store(str(root)).find("latest").folder
        for number in range(1, pipelines):
            copy_run(original, root / "runs" / f"nightly-{number}" / _run_id(number))
        peak, size = _serve(root)
    print(f"\n  one scrape of {pipelines} pipelines of {stages} stages has {size / 1e6:.1f} MB")
    name = f"bridge of {pipelines:,} pipelines"
    met = peak <= TARGET_MEGABYTES
    return Verdict(name, f"{peak:.0f} MB", f"<= {TARGET_MEGABYTES:g} MB", met)


def _run_id(number: int) -> str:
    milliseconds = 1_760_000_000_000 + number * 60_000
    return str(uuid.UUID(int=(milliseconds << 80) | (0x7 << 76) | (0x2 << 62) | number))


def _serve(root: pathlib.Path) -> tuple[float, int]:
    """Returns the peak of resident memory of the command, in MB, and the size of a scrape."""
    command = [sys.executable, "-m", "beam_obs.cli", "exporter", "--store", str(root), "--every", "1s"]
    process = subprocess.Popen(
        [*command, "--prometheus-port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())
        if found is None or not process.stdout.readline():
            raise RuntimeError("beam-obs exporter did not start")
        for accept in ("text/plain", "application/openmetrics-text") * 3:
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=120)
            connection.request("GET", "/metrics", headers={"accept": accept})
            size = len(connection.getresponse().read())
            connection.close()
        time.sleep(3)  # for some more looks
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.terminate()
        process.wait(timeout=30)
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert peak is not None
    return int(peak[1]) * 1024 / 1e6, size


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what exporting costs.")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--files", default="flights-*.csv", help="of the year's; default: %(default)s")
    parser.add_argument("--stages", type=int, default=200, help="of the snapshot; default: %(default)s")
    parser.add_argument("--pipelines", type=int, default=1000, help="of the store; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=20, help="of the snapshot; default: %(default)s")
    arguments = parser.parse_args(argv)
    fetch_full_year()
    told = [
        measure_bridge(arguments.pipelines, 10),
        measure_snapshot(arguments.stages, arguments.repeats),
        measure_threads(f"{FULL_YEAR}/{arguments.files}", FULL_YEAR),
    ]
    met = print_verdicts(told)
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
