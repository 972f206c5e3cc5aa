"""The replay of January's flights."""

from __future__ import annotations

import collections
import itertools
import json
import pathlib

import pytest

from pipelines.flights.replay_source import Event, Sent, events, main, paced, with_faults, write_files


class Clock:
    """A clock that only goes on while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def replayed(count: int, seconds_between: float = 60.0) -> list[Event]:
    return [Event(n * seconds_between, n * seconds_between, f"id {n}", f'{{"n":{n}}}') for n in range(count)]


def test_events_come_in_the_order_of_departure() -> None:
    rows = [
        {"carrier": "UA", "flight": str(n), "minute": minute, "time_hour": hour}
        for n, (hour, minute) in enumerate(
            [("2013-01-02T00:00:00Z", "1"), ("2013-01-01T23:00:00Z", "30"), ("2013-01-01T10:00:00Z", "0")]
        )
    ]
    assert [(event.due, json.loads(event.data)["flight"]) for event in events(rows)] == [
        (0.0, "2"),
        (13.5 * 3600, "1"),
        (14 * 3600 + 60, "0"),
    ]


@pytest.mark.parametrize("speed", [1.0, 60.0, 3600.0])
def test_an_event_is_sent_when_it_is_due_at_that_speed(speed: float) -> None:
    clock = Clock()
    sent = [(clock.time, one) for one in paced(replayed(3), speed, clock, clock.sleep)]
    assert [when for when, _ in sent] == pytest.approx([1_000.0, 1_000 + 60 / speed, 1_000 + 120 / speed])
    assert [one.time for _, one in sent] == pytest.approx([when for when, _ in sent])


def test_an_event_time_is_of_rfc_3339() -> None:
    assert Sent(replayed(1)[0], 1_000.25).event_time == "1970-01-01T00:16:40.250Z"


def test_faults_lose_no_flight_and_are_as_many_as_asked_for() -> None:
    given = replayed(100, seconds_between=3600)
    faulty = with_faults(given, 10, speed=3600)
    assert [event.due for event in faulty] == sorted(event.due for event in faulty)
    assert {event.id for event in faulty} == {event.id for event in given}
    data = {event.id: event.data for event in given}
    late = collections.Counter((event.due - event.time) / 3600 for event in faulty)
    assert sum(event.data != data[event.id] for event in faulty) == 10
    assert len(faulty) - len(given) == 10
    assert (late[8], late[30]) == (10, 10)


def test_files_hold_what_came_in_two_seconds_and_when_it_left(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    sent = paced(replayed(5, seconds_between=3600), 3600, clock, clock.sleep)
    assert write_files(sent, tmp_path / "new", clock) == 5
    files = [path.read_text().splitlines() for path in sorted((tmp_path / "new").iterdir())]
    assert [len(lines) for lines in files] == [2, 2, 1]
    rows = [json.loads(line) for line in itertools.chain(*files)]
    assert rows[0] == {"event_time": "1970-01-01T00:16:40.000Z", "n": 0}
    assert [row["n"] for row in rows] == list(range(5))


def test_january_is_written_to_files(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--to-files={tmp_path}", "--speed=1e9", "--limit=300"]) == 0
    rows = [json.loads(line) for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert len(rows) == 300
    assert rows[0].keys() > {"event_time", "carrier", "time_hour"}
    assert capsys.readouterr().out == f"300 flights to {tmp_path}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--speed=60"], "one of the arguments --topic --to-files is required"),
        (["--to-files=x", "--speed=0"], "0 is no speed: give a number above 0"),
        (["--to-files=x", "--faults=4"], "one in 4 is too many: give 5 or more"),
    ],
)
def test_a_wrong_command_line_is_said_at_once(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_status:
        main(arguments)
    assert exit_status.value.code == 2
    assert expected in capsys.readouterr().err
