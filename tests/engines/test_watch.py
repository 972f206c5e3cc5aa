"""Jobs on Prism are watched while they run: by their launcher, and by a command once it has left."""

from __future__ import annotations

import contextlib
import pathlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from click.testing import CliRunner

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.metrics.own_families import RUN_STATUS as STATUS
from beam_obs.runs import watched_job, watcher
from beam_obs.store.numbers_of_run import STATUSES
from beam_obs.store.run_record import RunRecord
from tests.engines.object_stores import free_port
from tests.engines.prism import prism_options
from tests.exporters.small_runs import scrape, series, values
from tests.patience import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.engines

ROOT = pathlib.Path(__file__).parents[2]

LEFT = """
import sys, time
import apache_beam as beam
import beam_obs as obs

def slowly(number):
    import pathlib, time
    while not pathlib.Path(FOLDER, "go on").exists():
        time.sleep(0.1)
    return number

p = obs.Pipeline(argv=sys.argv[1:], name="left")
texts = p | "make" >> beam.Create(["1", "x", *map(str, range(60))])
numbers = texts | "parse" >> obs.Stage(beam.Map(int)) | beam.Reshuffle()
slow = numbers | "slow" >> obs.Stage(beam.Map(slowly))
slow | "count" >> beam.combiners.Count.Globally() | "write" >> beam.io.WriteToText("out")
p.run()
"""
"""A program that ends while its job goes on: until there is a file of the name ``go on`` in its folder."""


def left_behind(run_program: Callable[..., tuple[int, str, str]], prism: list[str]) -> RunRecord:
    """Launches the job; returns its run."""
    code, _, errors = run_program(f"FOLDER = {str(pathlib.Path.cwd())!r}\n{LEFT}", *prism)
    assert code == 0, errors
    (left,) = obs.Store().runs()
    assert left.status == "submitted"
    return left


def second(moment: float) -> int:
    if int(moment * 5) % 5 == 0:
        raise ValueError("refused")
    return int(moment)


def test_a_stream_that_never_ends_has_a_report_of_now(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.5)
    options = PipelineOptions([*prism_options(), "--streaming", f"--obs_store={tmp_path}"])
    p = obs.Pipeline("PrismRunner", options=options, name="ticks")
    ticks = p | "ticks" >> PeriodicImpulse(fire_interval=0.2)
    _ = ticks | "parse" >> obs.Stage(beam.Map(second)) | "next" >> beam.Map(lambda number: number + 1)

    def counted() -> RunRecord | None:
        (record,) = obs.Store(str(tmp_path)).runs()
        counts = {step["label"]: step["out"] for step in (record.live or {}).get("steps", ())}
        refused = sum(stage["dead"] for stage in (record.live or {}).get("stages", ()))
        return record if counts.get("next") and refused else None

    result = p.run()
    try:
        record = wait_until("counted what is no Stage, by the runner's own metrics", counted)
        assert record is not None
        report = CliRunner().invoke(command_line, ["show", "latest", "--store", str(tmp_path)])
    finally:
        result.cancel()

    assert record.status == "running"
    assert report.output.count("as of 20") == 1
    assert "◆ parse" in report.output
    (ended,) = obs.Store(str(tmp_path)).runs()
    assert (ended.status, ended.live) == ("cancelled", None)


def test_a_job_whose_launcher_has_left_is_watched_to_its_end(
    prism: list[str],
    run_program: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watched_job, "LIVE_SECONDS", 0.5)
    left_behind(run_program, prism)
    seen = threading.Thread(target=let_go_on_once_a_refusal_is_seen)
    seen.start()

    watched = CliRunner().invoke(command_line, ["watch", "latest"])

    seen.join()
    assert watched.exit_code == 0, watched.output
    assert re.search(r"submitted, 1 dead, \d+ records", watched.output)
    assert "left  done, 1 dead" in watched.output
    (ended,) = obs.Store().runs()
    end = ended.end or {}
    # Prism may lose the counts of a bundle, never a dead letter.
    assert {stage["label"] for stage in end["stages"] if stage["out"]} == {"parse", "slow"}
    assert (end["counts_from"], end["dead_letters"]["count"]) == ("result", 1)
    assert end["balance"]["holds"] is not False
    assert pathlib.Path("out-00000-of-00001").read_text() == "61\n"


def let_go_on_once_a_refusal_is_seen() -> None:
    def dead() -> int:
        (record,) = obs.Store().runs()
        return sum(stage["dead"] for stage in (record.live or {}).get("stages", ()))

    wait_until("known what is refused", dead)
    pathlib.Path("go on").touch()


def test_a_job_whose_launcher_has_left_is_exported_to_its_end(
    prism: list[str], run_program: Callable[..., tuple[int, str, str]]
) -> None:
    left_behind(run_program, prism)
    port = free_port()
    command = [sys.executable, "-m", "beam_obs.cli", "exporter", "--job", "latest", "--every", "1s"]
    process = subprocess.Popen([*command, "--prometheus-port", str(port)])
    seen: list[str] = []

    def has_ended() -> bool:
        with contextlib.suppress(OSError, KeyError):  # before it listens, and before it knows of a run
            found = values(scrape(port)[2])
            of_left = {status: found[series(STATUS, pipeline="left", status=status)] for status in STATUSES}
            seen.append(next((status for status, value in of_left.items() if value), "none"))
            pathlib.Path("go on").touch()
        return seen[-1:] == ["done"]

    try:
        wait_until("told that the job has ended", has_ended)
        found = values(scrape(port)[2])
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
    assert set(seen) == {"submitted", "done"}
    (record,) = obs.Store().runs()
    for stage in (record.end or {})["stages"]:
        of = {"pipeline": "left", "stage": stage["label"]}
        assert found[series("beam_obs_records_in_total", **of)] == stage["in"]
