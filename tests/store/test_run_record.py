"""The status of a run follows from its files, and from whether its process lives."""

from __future__ import annotations

import datetime
import subprocess
import sys
from typing import Any

import pytest

from beam_obs.store.process import is_alive, this_process
from beam_obs.store.run_record import RunRecord, now_text

ELSEWHERE = {"host": "elsewhere", "machine": "another", "pid": 1, "started": "1"}


def record(process: Any, **files: Any) -> RunRecord:
    return RunRecord("p", "id", {"started": "2026-01-01T00:00:00.000000Z", "process": process}, **files)


def ago(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_a_run_of_this_process_is_running() -> None:
    assert record(this_process()).status == "running"


def test_a_run_whose_process_has_ended_is_lost_at_once() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    launcher = {**this_process(), "pid": process.pid}
    process.kill()
    process.wait()
    assert record(launcher, heartbeat={"at": now_text()}).status == "lost"


def test_a_pid_used_again_is_not_the_launcher() -> None:
    assert is_alive({**this_process(), "started": "1"}) is False


@pytest.mark.parametrize(("seconds", "status"), [(5, "running"), (120, "lost")])
def test_on_another_machine_the_heartbeat_decides(seconds: float, status: str) -> None:
    assert record(ELSEWHERE, heartbeat={"at": ago(seconds)}).status == status


def test_a_job_that_outlives_its_launcher_is_submitted_and_not_lost() -> None:
    beat = {"at": ago(500), "outlives_launcher": True, "job_id": "2026-01-01_12"}
    assert record(ELSEWHERE, heartbeat=beat).status == "submitted"
    left = {"at": now_text(), "outlives_launcher": True, "left": True}
    assert record(this_process(), heartbeat=left).status == "submitted"
    assert record(ELSEWHERE, heartbeat=beat).job_id == "2026-01-01_12"


def test_the_end_says_the_status_whatever_the_process_does() -> None:
    assert record(ELSEWHERE, end={"status": "cancelled"}).status == "cancelled"
