"""January's flights again, in the order in which they left: `python -m pipelines.flights.replay_source`.

Publishes one message for each flight into a topic of Pub/Sub, of the emulator if `PUBSUB_EMULATOR_HOST` names
one, or writes small files as time goes on. A message's data is the row as JSON; its attribute `id` tells the
flight from every other, `event_time` says when it left, on the clock of the replay: at 3,600 times its speed
an hour of flights takes a second.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pipelines.flights.parse import Row
from pipelines.flights.reference import DATA

FLIGHTS = DATA / "flights-2013-01.csv"
LATE_SECONDS = (8, 30)
"""How long the two kinds of late messages are held back, by the clock of the replay."""

_FILE_SECONDS = 2.0


class Event(NamedTuple):
    """A message to be.

    Args:
      due: when it is sent, seconds after the first flight left.
      time: when its flight left, in the same seconds.
      id: tells the flight from every other.
      data: the row as JSON.
    """

    due: float
    time: float
    id: str
    data: str


class Sent(NamedTuple):
    """An event as it goes out.

    Args:
      event: the event.
      time: when its flight left on the clock of the replay, in seconds since 1970.
    """

    event: Event
    time: float

    @property
    def event_time(self) -> str:
        """The same as RFC 3339."""
        moment = datetime.datetime.fromtimestamp(self.time, datetime.timezone.utc)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def events(rows: Iterable[Row]) -> list[Event]:
    """Returns the rows as events, by the time at which they were to leave.

    >>> row = {"carrier": "UA", "flight": "1", "minute": "15", "time_hour": "2013-01-01T10:00:00Z"}
    >>> [(event.id, event.due) for event in events([{**row, "flight": "2", "minute": "20"}, row])]
    [('UA1/2013-01-01T10:00:00Z', 0.0), ('UA2/2013-01-01T10:00:00Z', 300.0)]
    """
    timed = sorted(((_left(row), row) for row in rows), key=lambda one: one[0])
    return [
        Event(left - timed[0][0], left - timed[0][0], _id(row), json.dumps(row, separators=(",", ":")))
        for left, row in timed
    ]


def with_faults(given: list[Event], one_in: int, speed: float) -> list[Event]:
    """Returns the events with faults: of so many one is torn, one sent twice, and two are late.

    Args:
      given: events by the time at which they are due.
      one_in: how many; at least 5.
      speed: of the replay.
    """
    found = list(given)
    for start in range(0, len(given) - one_in + 1, one_in):
        torn, twice, late, later = (start + one_in * fifth // 5 for fifth in range(1, 5))
        found[torn] = given[torn]._replace(data=given[torn].data[: len(given[torn].data) // 2])
        found.append(given[twice]._replace(due=given[twice].due + 60))
        for held, seconds in zip((late, later), LATE_SECONDS, strict=True):
            found[held] = given[held]._replace(due=given[held].due + seconds * speed)
    return sorted(found, key=lambda event: event.due)


def paced(
    given: Iterable[Event],
    speed: float,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Sent]:
    """Gives each event when it is due.

    Args:
      given: events by the time at which they are due.
      speed: how many times faster than the flights left.
      now: the clock, in seconds since 1970.
      sleep: waits for so many seconds.
    """
    begun = now()
    for event in given:
        if (wait := begun + event.due / speed - now()) > 0:
            sleep(wait)
        yield Sent(event, begun + event.time / speed)


def publish(sent: Iterable[Sent], topic: str) -> int:
    """Publishes events; returns how many.

    Args:
      sent: events, when they are due.
      topic: ``projects/<project>/topics/<topic>``.
    """
    from google.cloud import pubsub

    publisher = pubsub.PublisherClient()
    answers = [
        publisher.publish(topic, one.event.data.encode(), id=one.event.id, event_time=one.event_time)
        for one in sent
    ]
    for answer in answers:
        answer.result(60)
    return len(answers)


def write_files(sent: Iterable[Sent], folder: pathlib.Path, now: Callable[[], float] = time.time) -> int:
    """Writes events as lines of JSON, a file every two seconds; returns how many events.

    A file has its name once it is whole. Beside what the row has, a line has `event_time`.

    Args:
      sent: events, when they are due.
      folder: where to.
      now: the clock, in seconds since 1970.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = files = 0
    lines: list[str] = []
    ends = now() + _FILE_SECONDS
    for one in sent:
        if lines and now() >= ends:
            files = _write(folder, files, lines)
            lines, ends = [], now() + _FILE_SECONDS
        lines.append(f'{{"event_time":"{one.event_time}",{one.event.data[1:]}')
        count += 1
    if lines:
        _write(folder, files, lines)
    return count


def _write(folder: pathlib.Path, number: int, lines: list[str]) -> int:
    growing = folder / f".flights-{number:05}"
    growing.write_text("".join(f"{line}\n" for line in lines))
    os.replace(growing, folder / f"flights-{number:05}.jsonl")
    return number + 1


def _left(row: Row) -> float:
    hour = datetime.datetime.fromisoformat(row["time_hour"].replace("Z", "+00:00"))
    return hour.timestamp() + 60 * int(row["minute"])


def _id(row: Row) -> str:
    return f"{row['carrier']}{row['flight']}/{row['time_hour']}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.flights.replay_source", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--topic", help="projects/<project>/topics/<topic> to publish to.")
    where.add_argument("--to-files", type=pathlib.Path, metavar="FOLDER", help="Folder to write files to.")
    parser.add_argument(
        "--speed", type=_speed, default=3600.0, help="Times faster than they left (default: 3600)."
    )
    parser.add_argument("--limit", type=int, help="How many flights (default: all).")
    parser.add_argument(
        "--faults", type=_faults, metavar="N", help="Of so many, one is torn, one sent twice, two are late."
    )
    return parser


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no speed: give a number above 0, e.g. 3600")
    return speed


def _faults(text: str) -> int:
    if (one_in := int(text)) < 5:
        raise argparse.ArgumentTypeError(f"one in {text} is too many: give 5 or more")
    return one_in


def main(argv: list[str] | None = None) -> int:
    """Replays the flights as the command line says; returns the exit code."""
    given = _parser().parse_args(argv)
    with FLIGHTS.open(newline="") as file:
        replayed = events(csv.DictReader(file))[: given.limit]
    if given.faults is not None:
        replayed = with_faults(replayed, given.faults, given.speed)
    sent = paced(replayed, given.speed)
    try:
        if given.to_files is not None:
            count, where = write_files(sent, given.to_files), given.to_files
        else:
            count, where = publish(sent, given.topic), given.topic
    except KeyboardInterrupt:
        return 130
    except ImportError:
        print("error: no client of Pub/Sub: pip install 'beam_obs[gcp]'", file=sys.stderr)
        return 1
    except Exception as error:  # of the client: a topic that is not there, no credentials
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{count:,} flights to {where}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
