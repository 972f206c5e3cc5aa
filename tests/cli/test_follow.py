"""A run is followed until it ends: each look that finds something new is shown, and its end is the last."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import pytest
from click.testing import CliRunner, Result

import beam_obs as obs
from beam_obs.cli import follow
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.store.process import this_process
from beam_obs.store.run_record import now_text

RUN = "0193aaaa-1111-7000-8000-000000000001"
PARSE = {"label": "parse", "kind": "Map"}


class Growing:
    """A store of a run of this process that goes on a step whenever it was looked at.

    Args:
      folder: of the run.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.write("start.json", {"started": now_text(), "runner": "FnApiRunner", "process": this_process()})

    def write(self, name: str, content: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(content))

    def count(self, taken: int) -> None:
        stage = {**PARSE, "in": taken, "out": taken}
        point = {"seconds": taken, "in": taken, "dead": 0}
        at = f"2026-01-02T03:04:{taken // 100:02d}.000000Z"
        self.write("live.json", {"at": at, "counts_from": "live", "stages": [stage], "history": [point]})

    def end(self, status: str) -> None:
        stage = {**PARSE, "in": 900, "out": 900}
        self.write(
            "end.json", {"status": status, "finished": now_text(), "stages": [stage], "counts_from": "x"}
        )


@pytest.fixture
def growing() -> Growing:
    return Growing(pathlib.Path(".beam_obs", "runs", "numbers", RUN))


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command on a run that goes on by one of the given steps after each look."""

    def run(command: list[str], *steps: Callable[[], object]) -> Result:
        waiting: Iterator[Callable[[], object]] = iter(steps)
        monkeypatch.setattr(follow, "_pause", lambda seconds: next(waiting)())
        return CliRunner().invoke(command_line, command)

    return run


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("cancelled", 0), ("failed", 1)])
def test_each_look_is_a_line_and_the_report_is_last(
    growing: Growing, followed: Callable[..., Result], status: str, code: int
) -> None:
    result = followed(
        ["show", "latest", "--follow"],
        lambda: growing.count(100),
        lambda: None,
        lambda: growing.count(400),
        lambda: growing.end(status),
    )

    assert result.exit_code == code
    lines = result.output.splitlines()
    assert lines[:3] == [
        "0193aaaa-1111  running",
        "2026-01-02 03:04:01  0193aaaa-1111  running, 100 records",
        "2026-01-02 03:04:04  0193aaaa-1111  running, 400 records, 100/s",
    ]
    assert result.output.count(f"numbers  {status}") == 1
    assert "900" in result.output


def test_each_look_is_an_object_on_a_line_where_json_is_asked_for(
    growing: Growing, followed: Callable[..., Result]
) -> None:
    result = followed(
        ["show", "latest", "--json", "--follow"], lambda: growing.count(100), lambda: growing.end("done")
    )

    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["status"] for line in lines] == ["running", "running", "done"]
    assert lines[1]["live"]["stages"][0]["in"] == 100


def test_a_run_that_is_lost_is_not_waited_for(growing: Growing, followed: Callable[..., Result]) -> None:
    start = {"started": now_text(), "runner": "FnApiRunner", "process": {**this_process(), "started": "1"}}

    result = followed(["show", "latest", "--follow"], lambda: growing.write("start.json", start))

    assert result.exit_code == 1
    assert "numbers  lost" in result.output


def test_a_run_that_has_ended_is_shown_at_once(growing: Growing, followed: Callable[..., Result]) -> None:
    growing.end("failed")
    result = followed(["show", "latest", "--follow"])
    assert result.exit_code == 1
    assert "numbers  failed" in result.output.splitlines()[1]


def refusing(*texts: str) -> pathlib.Path:
    """Runs a pipeline that refuses, in a store of its own, and returns its folder there."""
    with obs.Pipeline("FnApiRunner", name="refusing", store="other", argv=["--obs_report=off"]) as p:
        _ = p | beam.Create(texts) | "parse" >> obs.Stage(beam.Map(int))
    return next(pathlib.Path("other", "runs", "refusing").iterdir())


@pytest.mark.parametrize("options", [[], ["--letters"]])
def test_kinds_and_letters_are_listed_once_as_they_come(
    growing: Growing, followed: Callable[..., Result], options: list[str]
) -> None:
    ran = refusing("one", "1")

    def refuse() -> None:
        for file in ran.glob("dead_letters-*.avro"):
            shutil.copy(file, growing.folder)

    result = followed(
        ["dead-letters", "list", "latest", "--follow", "--json", *options],
        lambda: growing.count(100),
        refuse,
        lambda: growing.count(200),
        lambda: growing.end("done"),
    )

    assert result.exit_code == 0, result.output
    (found,) = [json.loads(line) for line in result.output.splitlines()]
    assert (found["stage"], found["payload_text"]) == ("parse", "one")


def test_follow_takes_no_limit_and_no_pipeline(growing: Growing) -> None:
    for rest in (["latest", "--limit", "3"], ["--pipeline", "numbers"]):
        result = CliRunner().invoke(command_line, ["dead-letters", "list", "--follow", *rest])
        assert result.exit_code == 2


def test_a_terminal_shows_the_report_anew_and_leaves_the_last_one(growing: Growing) -> None:
    growing.count(100)
    terminal, end = pty.openpty()
    root = str(pathlib.Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", "beam_obs.cli", "show", "latest", "--follow"],
        stdout=end,
        stderr=end,
        env={**os.environ, "PYTHONPATH": root, "TERM": "xterm-256color", "COLUMNS": "100"},
    )
    os.close(end)
    shown = b""
    while process.poll() is None or shown.count(b"numbers") < 2:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # what Linux says when the other end is closed
            break
        if b"as of 2026-01-02 03:04:01 UTC" in shown and not (growing.folder / "end.json").exists():
            growing.end("done")
    os.close(terminal)
    assert process.wait(timeout=60) == 0
    assert b"running" in shown.split(b"done")[0]
    assert b"900" in shown
