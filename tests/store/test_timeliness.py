"""Starts that no run answered, and runs that take too long: as the store knows it, and as numbers."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from beam_obs.metrics.own_families import RUN_DURATION_LIMIT, SCHEDULE_DUE
from beam_obs.store.numbers_of_pipeline import numbers_of_pipeline
from beam_obs.store.run_record import parse_time
from beam_obs.store.schedule import Schedule
from beam_obs.store.scheduled_pipelines import newest_summaries, scheduled_pipelines
from beam_obs.store.store import Store
from beam_obs.store.timeliness import Timeliness, timeliness
from tests.written_runs import ago, write_run

DAILY = Schedule("p", "0 6 * * *")
NOW = "2026-05-10T09:00:00Z"
ROOT = pathlib.Path("store")


def at(text: str) -> datetime.datetime:
    return parse_time(f"2026-05-{text}:00Z")


def looked_at(schedule: Schedule | None = DAILY, now: str = NOW) -> Timeliness:
    return timeliness(newest_summaries(Store(ROOT), "p"), schedule, now)


def numbers(schedule: Schedule | None = DAILY, now: str = NOW) -> dict[str, float | None]:
    found = numbers_of_pipeline(newest_summaries(Store(ROOT), "p"), schedule, now)
    return {family.name: family.samples[0].value for family in found}


@pytest.mark.parametrize(
    ("started", "due", "is_overdue"),
    [
        ("10T06:00", "11T06:00", False),
        ("10T08:59", "11T06:00", False),  # late, but it came
        ("10T05:00", "10T06:00", True),  # by hand, before it was due
        ("09T06:01", "10T06:00", True),
        ("07T06:00", "08T06:00", True),  # the earliest that was missed
    ],
)
def test_a_run_answers_what_was_due_until_it_began(started: str, due: str, is_overdue: bool) -> None:
    write_run(ROOT, "p", at(started))
    found = looked_at()
    assert (found.due, found.is_overdue) == (at(due), is_overdue)
    assert numbers()[SCHEDULE_DUE] == at(due).timestamp()


def test_a_clock_may_be_a_little_behind_that_of_the_scheduler() -> None:
    write_run(ROOT, "p", at("10T06:00") - datetime.timedelta(seconds=2))
    assert not looked_at().is_overdue


def test_a_start_is_missed_after_the_time_that_it_may_be_late_by() -> None:
    write_run(ROOT, "p", at("09T06:00"))
    assert not looked_at(now="2026-05-10T06:10:00Z").is_overdue
    assert looked_at(now="2026-05-10T06:10:01Z").is_overdue
    patient = Schedule("p", "0 6 * * *", start_within_seconds=3_600)
    assert not looked_at(patient, now="2026-05-10T07:00:00Z").is_overdue


def test_a_run_that_failed_has_started() -> None:
    write_run(ROOT, "p", at("10T06:00"), status="failed")
    assert not looked_at().is_overdue


def test_a_replay_is_not_the_run_that_was_due() -> None:
    run = write_run(ROOT, "p", at("09T06:00"))
    write_run(ROOT, "p", at("10T07:00"), start={"parent_run": run})
    assert looked_at().is_overdue


def test_a_template_is_no_run() -> None:
    write_run(ROOT, "p", at("09T06:00"))
    write_run(ROOT, "p", at("10T07:00"), None, start={"template": "gs://bucket/template"})
    assert looked_at().is_overdue


@pytest.mark.parametrize("cron", ["0 6 * * *", "*/5 * * * *"])
def test_a_pipeline_that_never_ran_is_overdue(cron: str) -> None:
    schedule = Schedule("p", cron)
    found = looked_at(schedule)
    assert found.is_overdue
    assert found.missed == [found.overdue_text]
    assert found.overdue_text.startswith("never ran: a run was due at 2026-05-10 0")
    assert SCHEDULE_DUE in numbers(schedule)


def test_starts_before_a_schedule_held_are_not_missed() -> None:
    since = Schedule("p", "0 6 * * *", "Europe/Berlin", since=datetime.date(2026, 5, 11))
    assert not looked_at(since).is_overdue
    write_run(ROOT, "p", at("01T06:00"))
    assert looked_at(since).due == at("11T04:00")
    assert looked_at(since, "2026-05-11T05:00:00Z").is_overdue


def test_all_that_have_a_schedule_are_looked_at() -> None:
    write_run(ROOT, "p", ago(minutes=1))
    often = {name: Schedule(name, "*/5 * * * *") for name in ("p", "q")}
    found = scheduled_pipelines(Store(ROOT), often)
    assert [(name, times.is_overdue) for name, times in found.items()] == [("p", False), ("q", True)]
    assert list(scheduled_pipelines(Store(ROOT), often, "q")) == ["q"]


def test_a_run_that_still_runs_takes_longer_than_its_schedule_says() -> None:
    run = write_run(ROOT, "p", at("10T06:00"), None)
    limited = Schedule("p", "0 6 * * *", takes_at_most_seconds=7_200)
    assert looked_at(limited, "2026-05-10T08:00:00Z").too_long is None
    found = looked_at(limited)
    assert found.too_long_text == (
        f"run {run[:13]} has been running for 3 h 0 min, longer than 2h (its schedule says)"
    )
    assert numbers(limited)[RUN_DURATION_LIMIT] == 7_200


def test_the_newest_run_that_has_ended_may_have_taken_too_long() -> None:
    write_run(ROOT, "p", at("10T06:00"), 7_300)
    limited = Schedule("p", "0 6 * * *", takes_at_most_seconds=7_200)
    assert "took 2 h 1 min, longer than 2h" in looked_at(limited).too_long_text
    write_run(ROOT, "p", at("10T08:30"), 60)
    assert looked_at(limited).is_kept


def test_without_a_word_twice_what_nearly_all_runs_keep_within_is_too_long() -> None:
    for day in range(1, 10):
        write_run(ROOT, "p", at(f"0{day}T06:00"), 1_000 + day)
    run = write_run(ROOT, "p", at("10T08:40"), None)
    assert numbers(None) == {RUN_DURATION_LIMIT: 2 * 1_009}
    assert looked_at(None).too_long is None
    found = looked_at(None, "2026-05-10T09:15:00Z")
    assert found.too_long is not None
    assert found.too_long.id == run
    assert "longer than 33 min 38 s (twice what 95 of 100 runs keep within)" in found.too_long_text


def test_what_a_run_may_take_is_not_told_by_few_runs_or_of_a_stream() -> None:
    for day in range(1, 5):
        write_run(ROOT, "p", at(f"0{day}T06:00"))
    assert looked_at(None).limit is None
    write_run(ROOT, "p", at("05T06:00"))
    assert looked_at(None).limit is not None
    write_run(ROOT, "p", at("06T06:00"), None, start={"options": {"streaming": True}})
    assert looked_at(None).limit is None
    assert numbers(None) == {}
