"""When the runs of a pipeline are to start: a cron expression in a time zone, as `beam_obs.toml` has it.

Days on which clocks change are taken as Debian's cron takes them: a start at an hour that is left out comes
when clocks have been put forward, one at an hour that comes twice comes once.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import functools
import itertools
import zoneinfo
from collections.abc import Mapping
from typing import Any

from beam_obs.records.duration import parse_duration
from beam_obs.records.errors import MissingExtra, UsageError
from beam_obs.records.number_text import counted

START_WITHIN_SECONDS = 600.0

_FIELDS = 5
_LOOKED_AT, _DAYS_LOOKED_AT = 60, 366
_SECOND = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """When the runs of one pipeline are to start, and how long they may take.

    Args:
      pipeline: its name.
      cron: minute, hour, day of month, month and day of week.
      zone: name of the time zone that they are of.
      start_within_seconds: for so long after its time a start is not missed.
      takes_at_most_seconds: how long a run may take; None where nobody said.
      since: starts before it are not looked at; a date is one of the zone.
      place: where it was written, for messages.

    >>> from beam_obs.store.run_record import parse_time
    >>> daily = Schedule("flights", "0 6 * * *", "Europe/Berlin")
    >>> daily.next_start(parse_time("2026-03-27T12:00:00Z")).isoformat()
    '2026-03-28T05:00:00+00:00'
    >>> daily.next_start(parse_time("2026-03-28T12:00:00Z")).isoformat()  # clocks were put forward
    '2026-03-29T04:00:00+00:00'
    """

    pipeline: str
    cron: str
    zone: str = "UTC"
    start_within_seconds: float = START_WITHIN_SECONDS
    takes_at_most_seconds: float | None = None
    since: datetime.date | None = None
    place: str = "schedule"

    @functools.cached_property
    def begins(self) -> datetime.datetime | None:
        """The time before which no start is looked at."""
        if self.since is None:
            return None
        if not isinstance(self.since, datetime.datetime):
            return datetime.datetime.combine(self.since, datetime.time(), self._zone).astimezone(_UTC)
        whole = self.since if self.since.tzinfo else self.since.replace(tzinfo=self._zone)
        return whole.astimezone(_UTC)

    def next_start(self, after: datetime.datetime) -> datetime.datetime:
        """Returns the first start after a time, in UTC.

        Raises:
          UsageError: cron expression or zone are wrong.
          MissingExtra: the ``watching`` extra is not installed.
        """
        return self._start(after, reverse=False)

    def last_start(self, before: datetime.datetime) -> datetime.datetime:
        """Returns the last start before a time, in UTC; raises what `next_start` does."""
        return self._start(before, reverse=True)

    @functools.cached_property
    def longest_pause_seconds(self) -> float:
        """The longest time from one start to the next, of those of a year and sixty at most.

        >>> Schedule("flights", "0 6 * * 1-5").longest_pause_seconds / 3600
        72.0
        """
        starts = [datetime.datetime(2000, 1, 1, tzinfo=_UTC)]
        while len(starts) < _LOOKED_AT and (starts[-1] - starts[0]).days < _DAYS_LOOKED_AT:
            starts.append(self.next_start(starts[-1]))
        pauses = [(after - before).total_seconds() for before, after in itertools.pairwise(starts[1:])]
        return max(pauses, default=_DAYS_LOOKED_AT * 86_400.0)

    def check(self) -> None:
        """Raises what `next_start` does, where anything is wrong with the schedule."""
        self.next_start(datetime.datetime(2000, 1, 1, tzinfo=_UTC))
        _ = self.begins

    def _start(self, moment: datetime.datetime, reverse: bool) -> datetime.datetime:
        try:
            import cronsim
        except ImportError:
            raise MissingExtra("a schedule", "watching") from None
        fields = len(self.cron.split())
        if fields != _FIELDS:
            raise self._wrong(f"found {counted(fields, 'field')}")
        try:
            found = next(cronsim.CronSim(self.cron, moment.astimezone(self._zone), reverse))
        except cronsim.CronSimError as error:
            raise self._wrong(str(error).lower()) from None
        except StopIteration:
            raise self._wrong("there is no such day") from None
        return found.astimezone(_UTC)

    def _wrong(self, what: str) -> UsageError:
        return UsageError(
            f"{self.place}: cron is {self.cron!r}: {what}; give minute, hour, day of month, month and day of "
            'week, e.g. "30 6 * * 1-5" for half past six on workdays'
        )

    @functools.cached_property
    def _zone(self) -> datetime.tzinfo:
        if self.zone == "UTC":  # which needs no files of the system
            return _UTC
        try:
            return zoneinfo.ZoneInfo(self.zone)
        except (LookupError, ValueError, OSError):
            known = zoneinfo.available_timezones()
            near = difflib.get_close_matches(self.zone, known, 1)
            otherwise = (
                "give a name as Europe/Berlin or UTC" if known else "no zone does here: pip install tzdata"
            )
            meant = f"did you mean {near[0]}?" if near else otherwise
            raise UsageError(f"{self.place}: zone is {self.zone!r}, which does not exist; {meant}") from None


_UTC = datetime.timezone.utc


def schedule_of_settings(pipeline: str, settings: Any, file: str) -> Schedule:
    """Returns the schedule that a file of settings has for a pipeline; its cron and zone are not looked at.

    Args:
      pipeline: its name.
      settings: the table of the file.
      file: its path, for messages.

    Raises:
      UsageError: a setting does not exist, is missing or has a wrong type.
    """
    place = f"{file}: schedules.{pipeline}"
    if not isinstance(settings, dict):
        raise UsageError(f'{place} is {settings!r}; give a table, with cron = "0 6 * * *" in it')
    for name, value in settings.items():
        if name not in _EXPECTED:
            near = difflib.get_close_matches(name, _EXPECTED, 1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(_EXPECTED)}"
            raise UsageError(f"{place} has a setting {name!r}, which does not exist; {meant}")
        kind, wanted = _EXPECTED[name]
        if not isinstance(value, kind):
            raise UsageError(f"{place}.{name} is {value!r}; give {wanted}")
    if "cron" not in settings:
        raise UsageError(f'{place} has no cron; give one, e.g. cron = "0 6 * * *"')
    return Schedule(
        pipeline,
        settings["cron"],
        settings.get("zone", "UTC"),
        _seconds(settings, "start_within", place) or START_WITHIN_SECONDS,
        _seconds(settings, "takes_at_most", place),
        settings.get("since"),
        place,
    )


_EXPECTED: Mapping[str, tuple[type, str]] = {
    "cron": (str, 'a text of five fields, e.g. "0 6 * * *"'),
    "zone": (str, 'the name of a time zone, e.g. "Europe/Berlin"'),
    "start_within": (str, 'a duration, e.g. "10m"'),
    "takes_at_most": (str, 'a duration, e.g. "2h"'),
    "since": (datetime.date, "a date, e.g. 2026-01-31, without quotes"),
}


def _seconds(settings: Mapping[str, Any], name: str, place: str) -> float | None:
    if name not in settings:
        return None
    try:
        seconds = parse_duration(settings[name])
    except UsageError as error:
        raise UsageError(f"{place}.{name}: {error}") from None
    if not seconds:
        raise UsageError(f"{place}.{name} is {settings[name]!r}; give more than nothing")
    return float(seconds)
