"""The benchmark of dead letters asks what it says, with the indexes and without."""

from __future__ import annotations

import pathlib

import pytest

from benchmarks import refusals


@pytest.mark.slow
def test_commands_are_timed_on_a_real_run(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    refusals.main(["--records=4000", "--repeats=1", f"--folder={tmp_path}"])
    printed = capsys.readouterr().out
    assert "dead-letters show" in printed
    assert printed.count("(target 1 s") == len(refusals.commands_of(tmp_path))
    assert list((tmp_path / "store").rglob("index-of-dead_letters-*"))
