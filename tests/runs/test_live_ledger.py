"""Windows of a run that lives are judged when they are over and both ends of an edge have told of them."""

from __future__ import annotations

from typing import Any

import pytest

from beam_obs.records.ledger_rows import BY_WINDOW, OVER, PointSums, StepPoints, row_of
from beam_obs.records.origin_sums import OriginSums, Total, total_of
from beam_obs.records.weave_report import LedgerEdge, LedgerStep, WeaveReport
from beam_obs.records.window_counts import WindowCounts
from beam_obs.records.window_sums import Window, WindowSums
from beam_obs.runs.live_ledger import SETTLED_SECONDS, CommittedSums, LiveLedger

READ, SUM, LAST = StepPoints(1, gives_given=True), StepPoints(11, gives_given=True), StepPoints(21)
WOVEN = WeaveReport(
    ledger_edges=[
        LedgerEdge(("read",), "sum", READ.given, SUM.taken, may_drop=True),
        LedgerEdge(("sum",), "last", SUM.given, LAST.taken),
    ],
    ledger_steps=[LedgerStep("sum", SUM.taken, given={"None": SUM.given}, over=SUM.over)],
)
SECONDS = 10


def window(number: int) -> Window:
    """Returns one of ten seconds."""
    return Window(number * SECONDS * 1_000_000, (number + 1) * SECONDS * 1_000_000)


class Stream:
    """What a stream commits, and what is told of it by a clock that the test holds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.windows: dict[str, WindowCounts] = {}
        self._sums, self._commits = PointSums(), 0
        self._ledger = LiveLedger(lambda: self.seconds)

    def commit(self, terms: tuple[int, ...], numbers: range, of: int = 0) -> None:
        """Commits that elements passed a place in a window."""
        origins = [number.to_bytes(16, "big") for number in numbers]
        whole, by_window = OriginSums(), WindowSums()
        whole.add(origins)
        by_window.add(window(of), total_of(origins))
        self._add(terms[0], whole.encode(), by_window.encode())

    def is_over(self, of: int) -> None:
        """Commits that the step which groups has given a window."""
        by_window = WindowSums()
        by_window.add(window(of), Total(1, 0, 0))
        self._add(SUM.first + OVER, b"", by_window.encode())

    def told(self) -> Any:
        """Returns what is told."""
        committed = CommittedSums(self._sums, self._commits)
        return self._ledger.told(WOVEN, committed, {"sum": self.windows}, lambda label: label)

    def _add(self, point: int, whole: bytes, by_window: bytes) -> None:
        parts = [(point, whole)] * bool(whole) + [(point | BY_WINDOW, by_window)]
        self._sums.add_row(row_of(parts))
        self._commits += 1


GAVE = (READ.given[0],)


@pytest.fixture
def stream() -> Stream:
    """A stream that has given ten elements in its first window, and taken nine of them."""
    made = Stream()
    made.commit(GAVE, range(10))
    made.commit(SUM.taken, range(9))
    return made


def test_a_window_that_is_open_is_not_judged(stream: Stream) -> None:
    stream.told()
    stream.seconds = 1000.0
    stream.commit(GAVE, range(20, 25), 1)
    told = stream.told()
    assert told["holds"] is None
    assert told["edges"][0]["reason"] == "no window that it has is known to be over yet"


def test_a_window_that_is_the_same_at_both_ends_is_told_at_once() -> None:
    stream = Stream()
    stream.commit(GAVE, range(10))
    stream.commit(SUM.taken, range(10))
    (edge, behind) = stream.told()["edges"]
    assert (edge["given"], edge["taken"], edge["until"], edge["open"]) == (10, 10, 10.0, 0)
    assert "reason" in behind


def test_a_loss_is_told_when_its_window_is_over_and_nothing_came_of_it_for_a_while(stream: Stream) -> None:
    stream.is_over(0)
    assert stream.told()["holds"] is None
    stream.seconds = SETTLED_SECONDS
    assert stream.told()["holds"] is None  # nothing was committed meanwhile: perhaps nothing can be
    stream.is_over(1)
    told = stream.told()
    assert told["holds"] is False
    assert (told["edges"][0]["lost"], told["edges"][0]["is_exact"]) == (1, True)
    assert told["edges"][0]["windows"] == [{"window": "[0.0, 10.0)", "lost": 1, "added": 0}]


def test_what_comes_after_all_is_no_loss(stream: Stream) -> None:
    stream.is_over(0)
    stream.told()
    stream.seconds = SETTLED_SECONDS
    stream.commit(SUM.taken, range(9, 10))
    told = stream.told()
    assert told["holds"] is True
    assert (told["edges"][0]["given"], told["edges"][0]["taken"]) == (10, 10)


def test_what_came_too_late_is_no_loss(stream: Stream) -> None:
    stream.is_over(0)
    stream.windows["[0.0, 10.0)"] = WindowCounts(10, 9)
    told = stream.told()
    assert (told["holds"], told["edges"][0]["late"]) == (True, 1)


def test_behind_the_last_step_that_groups_a_difference_is_told_at_the_end(stream: Stream) -> None:
    stream.commit(SUM.taken, range(9, 10))
    stream.commit((SUM.given[0],), range(100, 103))
    stream.commit(LAST.taken, range(100, 102))
    for number in range(5):
        stream.is_over(number)
        stream.told()
        stream.seconds += SETTLED_SECONDS
    told = stream.told()
    assert told["holds"] is True
    assert "reason" in told["edges"][1]


def test_of_what_is_in_no_known_window_nothing_is_told() -> None:
    stream = Stream()
    stream._add(GAVE[0], encoded(range(3)), b"")
    assert "not known at one end" in stream.told()["edges"][0]["reason"]


def encoded(numbers: range) -> bytes:
    """Returns sums of elements."""
    sums = OriginSums()
    sums.add([number.to_bytes(16, "big") for number in numbers])
    return sums.encode()


def test_without_a_step_that_groups_in_windows_there_is_none() -> None:
    told = LiveLedger().told(WeaveReport(), CommittedSums(PointSums(), 0), {}, str)
    assert told is None
