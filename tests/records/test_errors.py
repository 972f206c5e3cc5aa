"""Errors of a pipeline that is built are told with the line of the program that builds it."""

from __future__ import annotations

import copy
import pickle
import textwrap
from pathlib import Path

import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.files.found_files import NoFilesFound
from tests.programs import run

HERE = rf"{__file__}:\d+"


def test_misuse_is_told_with_the_line_of_the_program_that_it_is_on() -> None:
    with pytest.raises(obs.UsageError, match=rf"between\('delay'\) has no limit.* \(at {HERE}\)$"):
        obs.between("delay")


def test_the_line_is_not_told_twice() -> None:
    with pytest.raises(obs.UsageError) as raised:
        obs.Check()
    assert str(raised.value).count(__file__) == 1


@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_an_error_that_was_pickled_keeps_its_line_and_its_fields(copied: object) -> None:
    error = NoFilesFound("data/*.csv", "read")
    again = copied(error)  # type: ignore[operator]
    assert (str(again), again.pattern, again.label) == (str(error), "data/*.csv", "read")


@pytest.mark.slow
def test_a_missing_file_is_told_with_the_line_that_reads_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            import apache_beam as beam
            import beam_obs as obs

            p = beam.Pipeline()
            p | "read" >> obs.ReadFromText("nowhere.txt")
            """
        )
    )
    ended = run([str(program)], cwd=tmp_path)
    assert ended.returncode == 1
    assert f"nowhere.txt' (at {program}:6)" in ended.stderr


def test_a_command_tells_no_line_of_the_program_that_calls_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["affected", "--store", str(tmp_path)]) in (1, 2)
    assert __file__ not in capsys.readouterr().err
