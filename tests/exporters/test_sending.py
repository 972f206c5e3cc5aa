"""Exporters send the newest numbers, wait for a target that is away, and count what is lost."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable

import pytest

from beam_obs.exporters import sending
from beam_obs.exporters.exporter_group import ExporterGroup
from beam_obs.exporters.sending import NotAccepted, SendingExporter
from beam_obs.metrics.own_families import EXPORTER_DROPPED
from beam_obs.metrics.run_numbers import RunNumbers
from tests.patience import wait_until

SECONDS = 10.0


@dataclasses.dataclass
class Recorded:
    """A destination of this process, which does as it is told."""

    answer: Callable[[RunNumbers], None] = lambda numbers: None
    name: str = "recorded"
    place: str = "the list"
    seconds: float = 0.0
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.sent: list[RunNumbers] = []

    def send(self, numbers: RunNumbers) -> None:
        self.answer(numbers)
        self.sent.append(numbers)

    def close(self) -> None:
        self.is_closed = True


def numbers(run: str = "1", at: int = 0) -> RunNumbers:
    return RunNumbers("small", run, at, ())


def test_what_is_given_is_sent_and_closing_sends_the_rest() -> None:
    target = Recorded()
    exporter = SendingExporter(target)
    for at in range(3):
        exporter.export(numbers("1", at))
        exporter.export(numbers("2", at))
    assert exporter.close(SECONDS)
    assert target.is_closed
    assert {one.run: one.at for one in target.sent} == {"1": 2, "2": 2}
    assert exporter.dropped("1") == 0


def test_a_slow_target_gets_the_newest_and_holds_nobody_up() -> None:
    may_go_on = threading.Event()
    target = Recorded(lambda _: may_go_on.wait(SECONDS) and None)
    exporter = SendingExporter(target)
    began = time.monotonic()
    for at in range(1000):
        exporter.export(numbers(at=at))
    assert time.monotonic() - began < SECONDS / 2
    may_go_on.set()
    assert exporter.close(SECONDS)
    assert target.sent[-1].at == 999
    assert len(target.sent) <= 3
    assert exporter.dropped("1") == 0


def test_a_target_that_is_away_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    is_away = threading.Event()
    is_away.set()
    tries = []

    def answer(one: RunNumbers) -> None:
        tries.append(one)
        if is_away.is_set():
            raise ConnectionError("nobody there at postgres://u:secret@host")

    target = Recorded(answer)
    exporter = SendingExporter(target)
    exporter.export(numbers(at=1))
    wait_until("tried", lambda: len(tries) >= 3)
    exporter.export(numbers(at=2))
    assert exporter.dropped("1") == 1
    is_away.clear()
    assert exporter.close(SECONDS)
    assert [one.at for one in target.sent] == [2]
    (said,) = caplog.messages
    assert "the list cannot be reached" in said
    assert "nobody there" in said
    assert "secret" not in said


def test_what_a_target_never_takes_is_dropped_and_the_next_run_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(one: RunNumbers) -> None:
        if one.run == "1":
            raise NotAccepted("no such project")

    target = Recorded(answer)
    exporter = SendingExporter(target)
    for run in ("1", "2"):
        exporter.export(numbers(run))
    assert exporter.close(SECONDS)
    assert [one.run for one in target.sent] == ["2"]
    assert exporter.dropped("1") == 1
    assert "does not take numbers of a run: NotAccepted: no such project" in caplog.text


def test_closing_gives_up_and_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    def away(_: RunNumbers) -> None:
        raise ConnectionError

    exporter = SendingExporter(Recorded(away))
    exporter.export(numbers())
    assert not exporter.close(SECONDS)
    assert exporter.dropped("1") == 1
    assert "the list was not sent the last numbers of 1 run" in caplog.text


def test_closing_waits_no_longer_than_it_may() -> None:
    never = threading.Event()
    exporter = SendingExporter(Recorded(lambda _: never.wait(SECONDS) and None))
    exporter.export(numbers())
    began = time.monotonic()
    assert not exporter.close(0.1)
    assert time.monotonic() - began < SECONDS / 2
    assert exporter.dropped("1") == 1
    never.set()


def test_too_many_runs_to_wait_drop_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "MOST_WAITING", 2)
    may_go_on = threading.Event()
    target = Recorded(lambda _: may_go_on.wait(SECONDS) and None)
    exporter = SendingExporter(target)
    exporter.export(numbers("1"))
    wait_until("under way", lambda: not exporter._waiting)
    for run in ("2", "3", "4"):
        exporter.export(numbers(run))
    may_go_on.set()
    assert exporter.close(SECONDS)
    assert [one.run for one in target.sent] == ["1", "3", "4"]
    assert exporter.dropped("2") == 1


def test_pauses_are_kept_between_rounds_but_not_before_the_last() -> None:
    target = Recorded(seconds=0.2)
    times: list[float] = []
    target.answer = lambda _: times.append(time.monotonic())
    exporter = SendingExporter(target)
    exporter.export(numbers(at=1))
    wait_until("sent", lambda: len(times) == 1)
    exporter.export(numbers(at=2))
    wait_until("sent", lambda: len(times) == 2)
    assert times[1] - times[0] >= 0.19
    target.seconds = SECONDS
    exporter.export(numbers(at=3))
    wait_until("sent", lambda: len(times) == 3)
    exporter.export(numbers(at=4))
    assert exporter.close(SECONDS / 2)
    assert target.sent[-1].at == 4


def test_numbers_tell_what_was_dropped_of_their_run(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: RunNumbers) -> None:
        raise NotAccepted

    caplog.set_level(logging.CRITICAL)
    refusing, taking = Recorded(refuse, name="refusing"), Recorded(name="taking")
    exporters = [SendingExporter(refusing), SendingExporter(taking)]
    group = ExporterGroup(exporters)
    group.export(numbers(at=1))
    wait_until("dropped", lambda: exporters[0].dropped("1") == 1)
    group.export(numbers(at=2))
    assert group.close(SECONDS)
    family = taking.sent[-1].family(EXPORTER_DROPPED)
    assert family is not None
    assert {one.labels["exporter"]: one.value for one in family.samples} == {"refusing": 1, "taking": 0}
