"""Numbers of worker processes: where they come from, who writes them, and what a store makes of them."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.metrics import workers
from beam_obs.metrics.families import Sample
from beam_obs.metrics.workers import Worker, numbers_here, worker_of
from beam_obs.records.run_context import RunContext
from beam_obs.records.versions import versions_here
from beam_obs.records.worker_numbers import MOST_POINTS, WorkerNumbers, merged_workers
from beam_obs.reports.run_notes import worker_notes
from beam_obs.store.numbers_of_run import numbers_of_run
from beam_obs.store.run_record import RunRecord, time_text
from beam_obs.store.worker_files import read_workers
from tests.patience import wait_until
from tests.programs import ROOT

MEMORY = ("beam_obs_worker_memory_bytes", "beam_obs_worker_memory_limit_bytes")
COUNTS = ("beam_obs_worker_cpu_seconds_total", "beam_obs_bundles_failed_total")


def fail_at_seven(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number


def run(step: Any, *options: str, runner: Any = "FnApiRunner") -> RunRecord:
    pipeline = obs.Pipeline(runner, argv=["--obs_report=off", *options], name="work", store="store")
    _ = pipeline | beam.Create(range(20)) | step
    try:
        pipeline.run().wait_until_finish()
    except Exception:
        assert "fail" in step.label
    return obs.Store("store").find("work@latest")


def samples(record: RunRecord, name: str) -> list[Sample]:
    family = numbers_of_run(record).family(name)
    return list(family.samples) if family is not None else []


@pytest.mark.parametrize("step", [beam.Map(abs), obs.Stage(beam.Map(abs))], ids=["woven", "stage"])
def test_the_process_of_a_run_is_a_worker_of_it(step: Any) -> None:
    record = run("step" >> step)

    (worker,) = record.last_known["workers"]
    assert worker["worker"].endswith(f":{os.getpid()}")
    assert worker["bundles_failed"] == 0
    assert worker["cpu_seconds"] > 0
    values = {name: samples(record, name) for name in MEMORY + COUNTS}
    assert [len(found) for found in values.values()] == [1, 1, 1, 1]
    assert len({json.dumps(found[0].labels) for found in values.values()}) == 1
    assert 10e6 < values[MEMORY[0]][0].value < values[MEMORY[1]][0].value  # type: ignore[operator]
    assert not (pathlib.Path("store") / record.folder / "workers").exists()
    assert numbers_here(record.id) == []


@beam.ptransform_fn
def failing_among_others(numbers: Any) -> Any:
    """Three steps in a row, the second of which fails."""
    return (
        numbers | obs.Stage("a" >> beam.Map(abs)) | beam.Map(fail_at_seven) | obs.Stage("b" >> beam.Map(abs))
    )


@pytest.mark.parametrize("lineage", ["woven", "off"])
def test_a_bundle_that_fails_is_counted_once(lineage: str) -> None:
    record = run("fail" >> failing_among_others(), f"--obs_lineage={lineage}")
    assert record.status == "failed"
    assert [sample.value for sample in samples(record, COUNTS[1])] == [1]


def test_a_bundle_that_was_cancelled_has_not_failed() -> None:
    worker = Worker(None)
    worker.note_failed()
    assert worker.look().bundles_failed == 0


PROGRAM = """
import time
import apache_beam as beam
import beam_obs as obs

HELD = []


def hold(number):
    HELD.append(bytearray(20_000_000))
    time.sleep(0.1)
    return number


if __name__ == "__main__":
    options = ["--obs_report=off", "--obs_store_shared", "--runner=FnApiRunner",
               "--direct_running_mode=multi_processing", "--direct_num_workers={workers}"]
    with obs.Pipeline(argv=options, name="work", store="store") as p:
        _ = p | beam.Create(range({elements})) | beam.Map(hold)
"""


def of_processes(count: int, elements: int, group: str = "") -> RunRecord:
    """Runs a program that takes 20 MB for each element, in processes of its own."""
    pathlib.Path("program.py").write_text(PROGRAM.format(workers=count, elements=elements))
    joining = f"echo $$ > {group}/cgroup.procs && " if group else ""
    subprocess.run(
        ["/bin/sh", "-c", f"{joining} exec {sys.executable} program.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    return obs.Store("store").find("work@latest")


@pytest.mark.slow
def test_other_processes_write_files_of_their_own() -> None:
    record = of_processes(2, 10)

    assert record.status == "done"
    told = record.last_known["workers"]
    assert len({worker["worker"] for worker in told}) == 2
    assert sum(worker["history"][-1][1] - worker["history"][0][1] for worker in told) > 150e6
    assert len(list((pathlib.Path("store") / record.folder / "workers").iterdir())) == 2


MEMORY_GROUPS = pathlib.Path("/sys/fs/cgroup/memory")


@pytest.mark.engines
@pytest.mark.skipif(
    not os.access(MEMORY_GROUPS / "cgroup.procs", os.W_OK),
    reason="needs to make a cgroup with a limit of memory, of version 1, as root: sudo make test-engines",
)
def test_a_worker_that_runs_out_of_memory_has_told_how_it_grew() -> None:
    group = MEMORY_GROUPS / f"beam_obs-{os.getpid()}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text("800000000")
    try:
        record = of_processes(1, 60, str(group))
        killed = "oom_kill 1" in (group / "memory.oom_control").read_text()
    finally:
        group.rmdir()

    assert killed
    assert record.status == "failed"
    (worker,) = record.last_known["workers"]
    assert worker["memory_bytes"] > 0.75 * worker["memory_limit_bytes"]
    assert 600e6 < worker["memory_limit_bytes"] < 800e6


def context(folder: str = "store", **changes: Any) -> RunContext:
    return dataclasses.replace(RunContext("work", "run-1", store=folder), **changes)


@pytest.mark.parametrize("known", [None, context(store=None), context(is_one_job=False)])
def test_nothing_is_done_where_there_is_no_run_with_a_store(known: RunContext | None) -> None:
    assert worker_of(known) is None


def test_a_store_that_is_away_stops_nobody(caplog: pytest.LogCaptureFixture, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    worker = Worker(str(tmp_path / "file"))
    with caplog.at_level("INFO"):
        worker.join()
        worker.leave()
    assert "cannot be written" in caplog.text


def test_the_thread_ends_with_the_last_step_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(workers, "WRITE_SECONDS", 0.02)

    def is_looking() -> bool:
        return any(thread.name == "beam_obs worker" for thread in threading.enumerate())

    worker = Worker("folder")
    for _ in range(2):
        worker.join()
        worker.join()
        worker.leave()
        assert is_looking()
        worker.leave()
        wait_until("over", lambda: not is_looking())
    (name,) = os.listdir("folder/workers")
    told = json.loads((pathlib.Path("folder/workers") / name).read_text())
    assert told["at"] >= told["began"]
    assert len(told["history"]) >= 3


def test_the_history_of_a_long_run_is_short() -> None:
    worker = Worker(None)
    for _ in range(500):
        found = worker.look()
    times = [at for at, _ in found.history]
    assert len(times) <= MOST_POINTS
    assert times == sorted(times)
    assert times[0] < times[-1] + 1


def of(worker: str, **changes: Any) -> dict[str, Any]:
    return WorkerNumbers(worker, 1, 10, 900, 1000, 900, 2.0, 1)._replace(**changes).to_json()


def test_files_that_are_no_such_numbers_are_left_out(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "run" / "workers"
    folder.mkdir(parents=True)
    contents = [json.dumps(of("a")), json.dumps(of("b", at="x")), "[]", "{", json.dumps(of("a", at=11))]
    for at, content in enumerate(contents):
        (folder / f"worker-{at}.json").write_text(content)

    (found,) = merged_workers(read_workers(obs.Store(str(tmp_path)), "run"))

    assert (found["worker"], found["at"], found["cpu_seconds"], found["bundles_failed"]) == ("a", 11, 4.0, 2)


def test_where_the_store_is_away_no_worker_is_told(tmp_path: pathlib.Path, monkeypatch: Any) -> None:
    store = obs.Store(str(tmp_path))

    def away(path: str) -> list[str]:
        raise OSError("away")

    monkeypatch.setattr(store.files, "names", away)
    assert read_workers(store, "run") == []


def test_a_worker_that_has_been_silent_for_a_minute_has_no_memory_any_more() -> None:
    now = time.time()
    told = [of("here", at=int(now * 1e6)), of("gone", at=int((now - 90) * 1e6))]
    at = time_text(_utc(now))
    record = RunRecord("work", "run-1", {"started": at}, live={"at": at, "workers": told})

    assert [sample.labels["worker"] for sample in samples(record, MEMORY[0])] == ["here"]
    assert [sample.labels["worker"] for sample in samples(record, COUNTS[0])] == ["here", "gone"]


def test_a_report_names_a_worker_that_was_short_of_memory() -> None:
    (note,) = worker_notes({"workers": [of("a"), of("b", memory_bytes=500)], "status": "failed"})
    assert note.text.startswith("worker a had 900 B of the 1.0 kB")
    assert worker_notes({"workers": [of("a", memory_bytes=None)], "status": "done"})[0].text == (
        "1 bundle failed, and what was in them was tried again"
    )


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def test_a_worker_of_other_versions_than_its_launcher_is_said(caplog: pytest.LogCaptureFixture) -> None:
    here = versions_here()
    worker = Worker(None, {**here, "beam_obs": "0.0.1", "flights": "1.2"})
    told = worker.look().to_json()
    assert told["differs"] == {
        "beam_obs": ["0.0.1", here["beam_obs"]],
        "flights": ["1.2", "not installed"],
    }
    assert "this worker has flights not installed, and the launcher of its run had 1.2" in caplog.text
    notes = [note.text for note in worker_notes({"workers": [told, told], "status": "done"})]
    assert notes == [
        f"2 workers had beam_obs {here['beam_obs']}, the launcher had 0.0.1",
        "2 workers had flights not installed, the launcher had 1.2",
    ]


def test_a_worker_of_the_same_versions_says_nothing() -> None:
    told = Worker(None, versions_here()).look().to_json()
    assert told["differs"] == {}
    assert worker_notes({"workers": [told], "status": "done"}) == []
