"""`beam-obs runs` says what schedules miss."""

from __future__ import annotations

import pathlib

import pytest

from beam_obs.cli.main import exit_code
from tests.written_runs import ago, write_run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def schedules() -> None:
    pathlib.Path("beam_obs.toml").write_text(
        '[schedules.nightly]\ncron = "*/5 * * * *"\ntakes_at_most = "1h"\n'
        '[schedules.never]\ncron = "*/5 * * * *"\n'
    )
    write_run(pathlib.Path(".beam_obs"), "nightly", ago(hours=3), None)


@pytest.mark.usefixtures("schedules")
def test_runs_tells_what_is_overdue_and_what_takes_too_long(capsys: Capture) -> None:
    assert exit_code(["runs", "--json"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    overdue, too_long, never = printed.err.splitlines()
    assert overdue.startswith("beam-obs: nightly: no run has started that was due at 2")
    assert "has been running for 3 h 0 min, longer than 1h" in too_long
    assert never.startswith("beam-obs: never: never ran: a run was due at 2")


@pytest.mark.usefixtures("schedules")
def test_of_a_pipeline_that_never_ran_both_are_told(capsys: Capture) -> None:
    assert exit_code(["runs", "--pipeline", "never"]) == 1
    said = capsys.readouterr().err
    assert "never: never ran: a run was due at 2" in said
    assert "no pipeline 'never' in the store" in said
    assert "nightly: " not in said
