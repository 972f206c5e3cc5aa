"""`make demo`, from its first line to its last."""

from __future__ import annotations

import pathlib


def test_the_demo_refuses_what_was_damaged_and_says_what_to_try(flights_demo: pathlib.Path) -> None:
    assert (flights_demo / "code").read_text() == "0"
    printed = (flights_demo / "printed").read_text()
    assert "Each of the 32 damages was refused where it should be, and nothing else was." in printed
    assert "dead-letters list latest" in printed
