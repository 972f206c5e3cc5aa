"""What README and pages show as typed is typed here, and prints what they show, apart from ids and times.

A block that begins with ``$ `` is commands, each with what it prints, where the page shows it; ``...``
stands for anything.
"""

from __future__ import annotations

import doctest
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from tests.programs import Program, run, stand_ins

PROJECT = pathlib.Path(__file__).parent.parent
_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```\n", re.MULTILINE | re.DOTALL)
_NEXT = "-- next command --"
_MASKS = {
    re.compile(r"\b01[0-9a-f]{6}-[0-9a-f]{4}(-[0-9a-f-]+)?(\.[0-9a-f]+\.\d+)?"): "RUN",
    re.compile(r"\b20[2-9]\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d( to \d\d:\d\d:\d\d)?( UTC)?"): "TIME",
    re.compile(r"\b\d[\d.]* (µs|ms|s)\b|(?<= )\u2013(?= |$)", re.MULTILINE): "DURATION",
    re.compile(r"\b([Cc]ode\s+(?:the same )?)(sha256:)?[0-9a-f]{8,}(\+dirty)?"): r"\1VERSION",
    re.compile(r"\b[0-9a-f]{16}\b"): "FINGERPRINT",
    re.compile(r"─+"): "",
}


def masked(text: str) -> str:
    for pattern, mask in _MASKS.items():
        text = pattern.sub(mask, text)
    return text


def assert_printed(expected: str, printed: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    shown, is_printed = masked(expected), masked(printed)
    if not doctest.OutputChecker().check_output(shown, is_printed, flags):
        there = {" ".join(line.split()) for line in is_printed.splitlines()}
        gone = [line for line in shown.splitlines() if " ".join(line.split()) not in there]
        pytest.fail(
            "\n".join(["not printed, or not in this order:", *gone, "printed:", printed]), pytrace=False
        )


def section(page: str, heading: str) -> list[tuple[str, str]]:
    """The blocks of a page below a heading, up to the next one: their kind, and their text."""
    (text,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return [(block["kind"], block["text"]) for block in _BLOCK.finditer(text)]


def typed(blocks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The commands of blocks that begin with one, and what each prints."""
    sessions = "".join(text for kind, text in blocks if not kind and text.startswith("$ "))
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", sessions, re.MULTILINE)


def assert_commands_print_what_is_shown(commands: list[tuple[str, str]], folder: pathlib.Path) -> None:
    assert commands
    script = f"\necho '{_NEXT}'\n".join(f"{command} || echo failed: $?" for command, _ in commands)
    path = os.pathsep.join([str(stand_ins()), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    for (command, expected), printed in zip(commands, done.stdout.split(f"{_NEXT}\n"), strict=True):
        assert "failed: " not in printed, (command, printed, done.stderr)
        if expected:
            assert_printed(expected, printed)


def test_the_first_minute_of_the_readme(tmp_path: pathlib.Path) -> None:
    blocks = section((PROJECT / "README.md").read_text(), "The first minute")
    (program,) = [text for kind, text in blocks if kind == "python"]
    assert "beam_obs" not in program
    (tmp_path / "wordcount.py").write_text(program)
    commands = typed(blocks)
    assert [command.split()[:2] for command, _ in commands[1:]] == [["beam-obs", "run"], ["beam-obs", "why"]]
    assert_commands_print_what_is_shown(commands, tmp_path)


def test_the_twenty_lines_of_the_readme(tmp_path: pathlib.Path) -> None:
    (_, program), (_, report) = section((PROJECT / "README.md").read_text(), "Twenty lines")
    (tmp_path / "twenty.py").write_text(program)
    done = run(["twenty.py"], cwd=tmp_path)
    assert sorted(done.stdout.splitlines()) == ["('oslo', -0.25)", "('rome', 17.0)"]
    assert_printed(report, done.stderr[done.stderr.index("temperatures  done") :])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_samples_of_the_flights_are_as_printed_today(clone_with_pictures: pathlib.Path) -> None:
    for name in ("README.md", "docs/lineage.md"):
        page = (PROJECT / name).read_text()
        blocks = [(block["kind"], block["text"]) for block in _BLOCK.finditer(page)]
        commands = [one for one in typed(blocks) if "demo-output" in one[0]]
        assert_commands_print_what_is_shown(commands, clone_with_pictures)


@pytest.mark.slow
def test_the_samples_of_the_schedule_are_as_printed_today(tmp_path: pathlib.Path) -> None:
    printed = after(demo="schedule", folder=tmp_path)
    page = (PROJECT / "docs/schedule.md").read_text()
    samples = [block["text"] for block in _BLOCK.finditer(page) if "demo-output" in block["text"]]
    assert len(samples) >= 3
    for sample in samples:
        assert_printed(f"...{sample}...", f"start\n{printed}\nend\n")


def after(demo: str, folder: pathlib.Path) -> str:
    """Runs a demonstration in a copy of the pipelines; returns what it prints, errors behind the rest."""
    shutil.copytree(PROJECT / "pipelines", folder / "pipelines")
    with tempfile.TemporaryFile() as output:
        program = Program(["-m", f"pipelines.{demo}.demo"], cwd=folder, output=output.fileno(), forks=True)
        code = program.wait()
        output.seek(0)
        printed = output.read().decode()
    assert code == 0, printed
    return printed
