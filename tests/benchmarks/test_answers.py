"""The benchmark of answers asks what it says, and finds none that is not recorded."""

from __future__ import annotations

import pathlib

import pytest

from benchmarks import answers


@pytest.mark.slow
def test_answers_are_timed_on_a_real_run(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers.main(["--records=3000", "--asked=4", f"--folder={tmp_path}"])
    printed = capsys.readouterr().out
    assert "why: complete 4" in printed
    assert "(target 0: met)" in printed
