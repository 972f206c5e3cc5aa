"""`make demo`, from its first line to its last."""

from __future__ import annotations

import pytest

from pipelines.flights import demo


def test_the_demo_refuses_what_was_damaged_and_says_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == 0
    printed = capsys.readouterr().out
    assert "Each of the 32 damages was refused where it should be, and nothing else was." in printed
    assert "dead-letters list latest" in printed
