"""Two failures that no runner tells, as they come: a run that is never started, and one that takes too long.

`beam-obs serve` and its `/metrics`, `check` and `runs` say nothing of them before, and say so after.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from beam_obs.cli.main import exit_code
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.programs import ROOT, Program
from tests.written_runs import ago, write_run

Capture = pytest.CaptureFixture[str]
STORE = pathlib.Path(".beam_obs")
SETTINGS = pathlib.Path("beam_obs.toml")

DUE = "beam_obs_schedule_due_timestamp_seconds"
SLOW = """
import sys, time
import apache_beam as beam
import beam_obs as obs

with obs.Pipeline("FnApiRunner", name="slow", argv=["--obs_report=off"]) as p:
    _ = p | beam.Create([1]) | "wait" >> beam.Map(lambda _: time.sleep(float(sys.argv[1])))
"""


@contextlib.contextmanager
def serving() -> Iterator[Callable[[str], str]]:
    """Starts `beam-obs serve`, and gives what reads a page of it."""
    served = subprocess.Popen(
        [sys.executable, "-m", "beam_obs.cli", "serve", "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert served.stdout is not None
        (address,) = re.findall(r"http\S+/", served.stdout.readline())
        yield lambda path: read(f"{address}{path}")
    finally:
        served.kill()
        served.communicate()


def read(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return str(answer.read().decode())


def value(metrics: str, name: str, pipeline: str) -> float:
    (found,) = re.findall(rf'^{name}{{pipeline="{pipeline}"}} (\S+)$', metrics, re.MULTILINE)
    return float(found)


def check(capture: Capture, pipeline: str, *rules: str) -> tuple[int, str]:
    capture.readouterr()
    code = exit_code(["check", f"{pipeline}@latest", *rules])
    return code, capture.readouterr().out


def listed(capture: Capture) -> str:
    capture.readouterr()
    assert exit_code(["runs"]) == 0
    return capture.readouterr().err


@pytest.mark.slow
def test_a_run_that_is_not_started_is_missed_when_its_time_has_passed(capsys: Capture) -> None:
    started = ago(minutes=3)
    write_run(STORE, "nightly", started, 1)
    # It was due in the minute after that one; it may come until some seconds from now.
    due = (started + datetime.timedelta(minutes=1, seconds=5)).replace(second=0, microsecond=0)
    told = f"no run has started that was due at {due:%Y-%m-%d %H:}"
    # On a busy machine those have passed before it was looked that nothing is told yet.
    for seconds in (6, 30, 150):
        within = math.ceil((ago() - due).total_seconds()) + seconds
        nightly = f'[schedules.nightly]\ncron = "* * * * *"\nstart_within = "{within}s"\n'
        SETTINGS.write_text(f'{nightly}[schedules.never]\ncron = "* * * * *"\n')
        with serving() as page:
            assert "never ran: a run was due at" in page("")
            assert 600 <= time.time() - value(page("metrics"), DUE, "never") < 720
            assert "never ran" in check(capsys, "never")[1]
            code, _ = check(capsys, "nightly", "--on-schedule")
            is_told = "no run has started" in page("pipelines/nightly") + page("")
            is_listed = "nightly" in listed(capsys)
            exported = value(page("metrics"), DUE, "nightly")
            is_too_late = time.time() >= exported + within
            assert is_too_late or (code, is_told, is_listed) == (0, False, False)
            assert exported == due.timestamp()
            if is_too_late and seconds < 150:
                continue
            time.sleep(max(0.0, exported + within - time.time()) + 0.1)
            assert told in page("pipelines/nightly")
            assert told in page("")
            code, said = check(capsys, "nightly", "--on-schedule")
            assert (code, told in said) == (1, True)
            assert told in listed(capsys)
            assert value(page("metrics"), DUE, "nightly") == exported
            write_run(STORE, "nightly", ago(), 0.1)
            assert check(capsys, "nightly", "--on-schedule")[0] == 0
            assert "no run has started" not in page("pipelines/nightly")
            wait_until("due", lambda: value(page("metrics"), DUE, "nightly") > time.time() - 60)
        break


def test_a_run_that_takes_too_long_is_told_while_it_runs(
    start_program: Callable[..., Program], capsys: Capture
) -> None:
    schedule = '[schedules.slow]\ncron = "0 0 1 1 *"\ntakes_at_most = "{}"\n'
    program = start_program(SLOW, "3600")
    try:
        wait_until("started", lambda: bool(list(STORE.glob("runs/slow/*/start.json"))))
        SETTINGS.write_text(schedule.format("1h"))
        assert check(capsys, "slow", "--may-run", "--on-schedule")[0] == 0
        SETTINGS.write_text(schedule.format("3s"))
        told = re.compile(r"has been running for [0-9.]+ s, longer than 3s \(its schedule says\)")
        with serving() as page:
            wait_until("told", lambda: bool(told.search(page("pipelines/slow"))))
            assert told.search(page(""))
            code, said = check(capsys, "slow", "--may-run", "--on-schedule")
            assert (code, bool(told.search(said))) == (1, True)
            assert told.search(listed(capsys))
            metrics = page("metrics")
            limit = value(metrics, "beam_obs_run_duration_limit_seconds", "slow")
            assert value(metrics, "beam_obs_run_duration_seconds", "slow") > limit == 3
            assert program.poll() is None
    finally:
        program.kill()
        program.wait(PATIENCE_SECONDS)
