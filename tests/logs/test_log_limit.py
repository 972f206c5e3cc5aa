from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_obs.logs.log_limit import WINDOW_SECONDS, LimitPerPlace
from tests.logs.kept_records import Kept


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def record(line: int) -> logging.LogRecord:
    told = {"name": "limited", "pathname": "a.py", "funcName": "f", "lineno": line, "levelno": 30}
    return logging.makeLogRecord(told)


@pytest.fixture
def said() -> Iterator[Kept]:
    handler = Kept()
    logging.getLogger("limited").addHandler(handler)
    yield handler
    logging.getLogger("limited").removeHandler(handler)


def test_each_line_has_a_limit_of_its_own(said: Kept) -> None:
    limit = LimitPerPlace(2, Clock())
    passed = [limit.filter(record(line)) for line in (1, 1, 1, 2, 2, 2, 1)]
    assert passed == [True, True, False, True, True, False, False]

    limit.say_left_out()

    assert [(one.lineno, one.getMessage().split()[0]) for one in said.records] == [(1, "2"), (2, "1")]
    assert {one.levelno for one in said.records} == {logging.WARNING}
    assert {one.funcName for one in said.records} == {"f"}


def test_when_the_minute_is_over_it_is_said_and_begins_anew(said: Kept) -> None:
    clock = Clock()
    limit = LimitPerPlace(1, clock)
    assert [limit.filter(record(1)) for _ in range(3)] == [True, False, False]
    clock.now = WINDOW_SECONDS + 1

    assert limit.filter(record(2))
    assert [one.getMessage()[:6] for one in said.records] == ["2 more"]
    assert limit.filter(record(1))


def test_one_record_at_several_handlers_counts_once() -> None:
    limit = LimitPerPlace(1, Clock())
    one, other = record(1), record(1)
    assert [limit.filter(one), limit.filter(one), limit.filter(other), limit.filter(other)] == [
        True,
        True,
        False,
        False,
    ]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.floats(0, 40)), max_size=60),
    st.integers(1, 4),
)
def test_what_passes_and_what_is_said_is_all_there_was(events: list[tuple[int, float]], most: int) -> None:
    handler, clock = Kept(), Clock()
    logger = logging.getLogger("limited")
    logger.addHandler(handler)
    passed: Counter[int] = Counter()
    limit = LimitPerPlace(most, clock)
    try:
        for line, later in events:
            clock.now += later
            passed[line] += limit.filter(record(line))
        limit.say_left_out()
    finally:
        logger.removeHandler(handler)
    for one in handler.records:
        passed[one.lineno] += int(one.getMessage().split()[0])
    assert passed == Counter(line for line, _ in events)
