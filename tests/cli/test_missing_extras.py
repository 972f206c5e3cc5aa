"""Gates, probes and schedules say which extra they need where it is not installed."""

from __future__ import annotations

import pathlib
import sys

import pytest

from beam_obs.cli.main import exit_code
from tests.written_runs import ago, write_run

Capture = pytest.CaptureFixture[str]
WATCHING = "pip install 'beam_obs[watching]'"


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cronsim", "junitparser", "jsonpath_rfc9535"):
        monkeypatch.setitem(sys.modules, name, None)
    write_run(pathlib.Path(".beam_obs"), "flights", ago(minutes=2))


@pytest.mark.usefixtures("without_packages")
def test_a_gate_needs_none_but_for_junit_and_schedules(capsys: Capture) -> None:
    assert exit_code(["check", "flights@latest", "--max-age", "1h"]) == 0
    assert exit_code(["check", "flights@latest", "--max-age", "1h", "--junit", "gate.xml"]) == 1
    assert f"JUnit XML needs packages that are not installed: {WATCHING}" in capsys.readouterr().err
    pathlib.Path("beam_obs.toml").write_text('[schedules.flights]\ncron = "* * * * *"\n')
    assert exit_code(["check", "flights@latest", "--nagios"]) == 3
    assert (
        f"UNKNOWN - a schedule needs packages that are not installed: {WATCHING}" in capsys.readouterr().out
    )


@pytest.mark.usefixtures("without_packages")
def test_runs_are_listed_where_schedules_cannot_be_read(capsys: Capture) -> None:
    pathlib.Path("beam_obs.toml").write_text('[schedules.flights]\ncron = "* * * * *"\n')
    assert exit_code(["runs"]) == 0
    printed = capsys.readouterr()
    assert "flights" in printed.out
    assert WATCHING in printed.err


@pytest.mark.usefixtures("without_packages")
def test_a_probe_that_expects_something_says_what_it_needs(capsys: Capture) -> None:
    assert exit_code(["probe", "http://localhost:1/", "--expect", "$.a=1"]) == 1
    assert f"a probe needs packages that are not installed: {WATCHING}" in capsys.readouterr().err
