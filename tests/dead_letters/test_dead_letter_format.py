"""Windows and panes as text."""

from __future__ import annotations

from typing import Any

import pytest
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import PANE_INFO_UNKNOWN, PaneInfo

from beam_obs.dead_letters.dead_letter_format import pane_text, window_text


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (GlobalWindow(), "global"),
        (IntervalWindow(0, 60), "[1970-01-01T00:00:00Z, 1970-01-01T00:01:00Z)"),
        (
            IntervalWindow(0.5, Timestamp(micros=1)),
            "[1970-01-01T00:00:00.500000Z, 1970-01-01T00:00:00.000001Z)",
        ),
        ("a window of the user's", "a window of the user's"),
    ],
    ids=str,
)
def test_windows(window: Any, text: str) -> None:
    assert window_text(window) == text


def test_windows_beyond_the_calendar_are_in_seconds() -> None:
    assert window_text(IntervalWindow(MIN_TIMESTAMP, 0)) == "[-9223372036854.775, 0.0)"
    assert window_text(IntervalWindow(0, MAX_TIMESTAMP)) == "[0.0, 9223372036854.775)"


@pytest.mark.parametrize(
    ("pane", "text"),
    [
        (None, ""),
        (PANE_INFO_UNKNOWN, ""),
        (PaneInfo(True, True, 1, 0, 0), ""),
        (PaneInfo(True, False, 0, 0, -1), "EARLY 0"),
        (PaneInfo(False, False, 1, 2, 0), "ON_TIME 2"),
        (PaneInfo(False, True, 2, 3, 1), "LATE 3"),
    ],
)
def test_panes(pane: Any, text: str) -> None:
    assert pane_text(pane) == text
