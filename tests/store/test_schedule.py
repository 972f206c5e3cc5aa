"""Schedules: when runs are to start, in zones whose clocks change; what is wrong in a file of settings."""

from __future__ import annotations

import pathlib

import pytest

import beam_obs as obs
from beam_obs.store.configuration import find_configuration, usable_schedules
from beam_obs.store.run_record import parse_time, time_text
from beam_obs.store.schedule import Schedule


def starts(cron: str, zone: str, after: str, count: int) -> list[str]:
    schedule, moment, found = Schedule("p", cron, zone), parse_time(after), []
    for _ in range(count):
        moment = schedule.next_start(moment)
        found.append(time_text(moment)[:16])
    return found


def written(text: str) -> Schedule:
    pathlib.Path("beam_obs.toml").write_text(text)
    return usable_schedules()["p"]


def test_an_hour_that_clocks_leave_out_comes_when_they_were_put_forward() -> None:
    assert starts("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3) == [
        "2026-03-28T01:30",
        "2026-03-29T01:00",  # 03:00, and not 02:30, which that day has not
        "2026-03-30T00:30",
    ]


def test_an_hour_that_comes_twice_is_due_once() -> None:
    assert starts("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2) == [
        "2026-10-25T00:30",
        "2026-10-26T01:30",
    ]


def test_what_is_due_each_hour_is_due_each_hour_of_such_a_day() -> None:
    assert starts("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 4) == [
        f"2026-10-25T0{hour}:00" for hour in range(4)
    ]


def test_the_last_start_is_found_across_a_change_of_clocks() -> None:
    daily = Schedule("p", "0 6 * * *", "America/New_York")
    assert time_text(daily.last_start(parse_time("2026-03-08T09:59:00Z")))[:16] == "2026-03-07T11:00"
    assert time_text(daily.last_start(parse_time("2026-03-08T10:01:00Z")))[:16] == "2026-03-08T10:00"


def test_a_file_says_when_and_how_long() -> None:
    found = written(
        '[schedules.p]\ncron = "30 6 * * 1-5"\nzone = "Europe/Berlin"\ntakes_at_most = "2h"\n'
        'start_within = "15m"\nsince = 2026-01-31'
    )
    assert (found.takes_at_most_seconds, found.start_within_seconds) == (7_200, 900)
    assert found.begins == parse_time("2026-01-30T23:00:00Z")


def test_a_file_is_read_where_nobody_asks_for_its_schedules() -> None:
    pathlib.Path("beam_obs.toml").write_text('store = "x"\n[schedules.p]\ncron = "often"')
    assert (find_configuration().store or "").endswith("x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('cron = "0 25 * * *"', "cron is '0 25 * * *': bad hour; give minute, hour, day of month"),
        ('cron = "0 6 * *"', "found 4 fields"),
        ('cron = "0 0 6 * * *"', "found 6 fields"),
        ('cron = "@daily"', "found 1 field;"),
        ('cron = ""', "found 0 fields"),
        ('cron = "0 6 31 2 *"', "bad day-of-month"),
        ('cron = "0 6 * * MOM"', "bad day-of-week"),
        ("cron = 6", 'cron is 6; give a text of five fields, e.g. "0 6 * * *"'),
        ('zone = "UTC"', "has no cron; give one"),
        ('cron = "0 6 * * *"\nzone = "Europe/Berln"', "did you mean Europe/Berlin?"),
        ('cron = "0 6 * * *"\nzone = "../etc/passwd"', "which does not exist"),
        ('cron = "0 6 * * *"\nzone = "Europe"', "which does not exist"),
        ('cron = "0 6 * * *"\nzone = ""', "which does not exist"),
        (
            'cron = "0 6 * * *"\ntakes_at_most = "2 hours"',
            "takes_at_most: found '2 hours', expected a number",
        ),
        ('cron = "0 6 * * *"\ntakes_at_most = 7200', 'takes_at_most is 7200; give a duration, e.g. "2h"'),
        ('cron = "0 6 * * *"\nstart_within = "0m"', "give more than nothing"),
        ('cron = "0 6 * * *"\nsince = "2026-01-31"', "without quotes"),
        ('crom = "0 6 * * *"', "'crom', which does not exist; did you mean cron?"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(obs.UsageError, match=r"beam_obs\.toml: schedules\.p") as caught:
        written(f"[schedules.p]\n{text}")
    assert said in str(caught.value)


def test_a_schedule_is_a_table() -> None:
    with pytest.raises(obs.UsageError, match="give a table, with cron"):
        written('[schedules]\np = "0 6 * * *"')
    with pytest.raises(obs.UsageError, match="schedules is 'p'; give a table of pipelines"):
        written('schedules = "p"')
