"""While a pipeline runs, a terminal shows records per second of each stage; anything else shows nothing."""

from __future__ import annotations

import os
import pathlib
import pty
import re

import pytest

from beam_obs.metrics.run_snapshot import Snapshot, StageCounts
from beam_obs.runs import progress, watcher
from tests import programs

PROGRAM = """
import sys, time
import apache_beam as beam
import beam_obs as obs

def slow(number):
    time.sleep(0.002)
    if number == 500:
        print("a line of the program", flush=True)
    return number

with obs.Pipeline("FnApiRunner", argv=sys.argv[1:], name="slow") as p:
    numbers = p | beam.Create(range(1000), reshuffle=False)
    numbers | "first" >> obs.Stage(beam.Map(lambda n: n)) | "slow" >> obs.Stage(beam.Map(slow))
"""


def run_on_a_terminal(*arguments: str) -> str:
    pathlib.Path("program.py").write_text(PROGRAM)
    terminal, end = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(programs.ROOT), "TERM": "xterm-256color", "COLUMNS": "100"}
    process = programs.Program(["program.py", *arguments], env=env, output=end)
    os.close(end)
    chunks = []
    while True:
        try:
            chunks.append(os.read(terminal, 65536))
        except OSError:
            break
        if not chunks[-1]:
            break
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    return b"".join(chunks).decode("utf-8", "replace")


@pytest.mark.slow
def test_a_terminal_shows_records_per_second_in_the_order_of_the_graph() -> None:
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", run_on_a_terminal())
    assert "per second" in shown
    assert "a line of the program" in shown
    rates = re.findall(r"^slow +[\d,]+ +([\d,]+) ", shown, flags=re.MULTILINE)
    assert any(int(rate.replace(",", "")) > 50 for rate in rates)
    assert shown.index("first") < shown.index("slow")
    assert "slow  done" in shown


@pytest.mark.slow
def test_progress_can_be_switched_off() -> None:
    assert "per second" not in run_on_a_terminal("--obs_progress=off")


def shown_by(mode: str, runner: str, snapshot: Snapshot | None, capsys: pytest.CaptureFixture[str]) -> str:
    watching = watcher.Watcher(progress.Progress(mode, runner), lambda _: snapshot, lambda _: None)
    watching.start()
    watching._ended.wait(0.3)
    watching.stop()
    return capsys.readouterr().err


def test_a_runner_that_tells_nothing_is_said_to_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_LINE_SECONDS", "_PATIENCE_SECONDS", "_REFRESH_SECONDS"):
        monkeypatch.setattr(progress, name, 0.01)
    assert shown_by("on", "SilentRunner", None, capsys).count("SilentRunner tells no counts") == 1


def test_an_error_of_our_own_in_telling_counts_is_logged_once_and_the_display_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("_LINE_SECONDS", "_REFRESH_SECONDS"):
        monkeypatch.setattr(progress, name, 0.01)
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.01)

    def broken(snapshot: Snapshot | None) -> None:
        raise AttributeError("ours")

    snapshot = Snapshot({"parse": StageCounts(1234, 1234)})
    watching = watcher.Watcher(progress.Progress("on", "FnApiRunner"), lambda _: snapshot, broken)
    watching.start()
    watching._ended.wait(0.3)
    watching.stop()

    assert capsys.readouterr().err.count("parse 1,234") > 1
    assert len(caplog.records) == 1


def test_lines_are_printed_where_there_is_no_terminal_and_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_REFRESH_SECONDS", 0.01)
    snapshot = Snapshot({"parse": StageCounts(1234, 1234)})
    for mode, expected in (("on", True), ("auto", False)):
        assert ("parse 1,234 (" in shown_by(mode, "FnApiRunner", snapshot, capsys)) == expected


def test_how_far_a_stream_is_behind_is_shown_with_its_stages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_LINE_SECONDS", "_REFRESH_SECONDS"):
        monkeypatch.setattr(progress, name, 0.01)
    monkeypatch.setattr(progress.Progress, "lateness", "event time 8 s behind")

    shown = shown_by("on", "AnyRunner", Snapshot({"parse": StageCounts(in_=7, out=7)}), capsys)

    assert re.search(r"parse 7 \(.*/s\); event time 8 s behind", shown)
