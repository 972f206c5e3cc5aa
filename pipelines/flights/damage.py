"""Makes files with deliberate damage of eight kinds, and says what of them a run must refuse.

`damage(source, folder)` deals the rows of a good file out to files in `folder`: most of them stay good,
some are damaged, each kind in a file of its own. The same source gives the same files. Together they
hold each of the source's flights once, so that good and refused ones can be counted against it.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

MANIFEST = "damage.jsonl"
GOOD_FILE = "flights-good.csv"
DAMAGED_PER_FILE = 5
ROWS_PER_FILE = 60

Fields = list[str]

_DEPARTURE, _CARRIER, _NUMBER, _TAIL, _DESTINATION = 3, 9, 10, 11, 13


class Damage(NamedTuple):
    """One thing that a run must refuse.

    Args:
      kind: the kind of damage, for people.
      file: name of the file.
      line: number of the line in the file, from 1; 0 where the file is refused as a whole.
      step: label of the step that refuses it.
      error: name of the error's class.
      shows: texts that are all to be seen in the dead letter.
      lost: names of the flights that do not come through because of it.
    """

    kind: str
    file: str
    line: int
    step: str
    error: str
    shows: list[str]
    lost: list[str]


class _Kind(NamedTuple):
    step: str
    error: str
    spoil: Callable[[Fields], bytes]


def _torn(fields: Fields) -> bytes:
    return ",".join(fields[:_DESTINATION]).encode()


def _badly_encoded(fields: Fields) -> bytes:
    return ",".join(fields).encode().replace(f",{fields[_DESTINATION]},".encode(), b",M\xfcC,")


def _shifted(fields: Fields) -> bytes:
    return ",".join([*fields[:_DEPARTURE], *fields[_DEPARTURE + 1 :], ""]).encode()


def _at_an_impossible_time(fields: Fields) -> bytes:
    return ",".join([*fields[:_DEPARTURE], "2575", *fields[_DEPARTURE + 1 :]]).encode()


def _of_an_unknown_carrier(fields: Fields) -> bytes:
    return ",".join([*fields[:_CARRIER], "ZZ", *fields[_CARRIER + 1 :]]).encode()


def _as_it_is(fields: Fields) -> bytes:
    return ",".join(fields).encode()


_KINDS = {
    "torn row": _Kind("read flights", "TornRow", _torn),
    "bad encoding": _Kind("read flights", "UndecodableBytes", _badly_encoded),
    "shifted columns": _Kind("parse", "NotANumber", _shifted),
    "impossible time": _Kind("check", "ImpossibleTime", _at_an_impossible_time),
    "unknown carrier": _Kind("check", "UnknownCarrier", _of_an_unknown_carrier),
    "duplicate": _Kind("refuse copies", "DuplicateFlight", _as_it_is),
}


def damage(source: pathlib.Path, folder: pathlib.Path) -> list[Damage]:
    """Writes the files to `folder`, and the manifest beside them.

    Args:
      source: a good file of flights with at least 500 rows.
      folder: made where it does not exist.

    Returns:
      What a run over ``folder/flights-*.csv`` must refuse, as in the manifest.
    """
    header, *rows = source.read_bytes().splitlines()
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Damage] = []
    for kind, (step, error, spoil) in _KINDS.items():
        name = _file_name(kind)
        mine, rows = rows[:ROWS_PER_FILE], rows[ROWS_PER_FILE:]
        lines = [header]
        for number, row in enumerate(mine):
            fields = row.decode().split(",")
            is_damaged = number % (ROWS_PER_FILE // DAMAGED_PER_FILE) == 7
            if kind == "duplicate":
                lines.append(row)
            if is_damaged:
                lines.append(spoil(fields))
                lost = [] if kind == "duplicate" else [flight_name(fields)]
                shows = [fields[_TAIL], fields[_NUMBER]]
                found.append(Damage(kind, name, len(lines), step, error, shows, lost))
            elif kind != "duplicate":
                lines.append(row)
        _write(folder / name, lines)

    name = _file_name("wrong header")
    mine, rows = rows[:ROWS_PER_FILE], rows[ROWS_PER_FILE:]
    _write(folder / name, [header.replace(b"sched_dep_time", b"scheduled"), *mine])
    lost = [flight_name(row.decode().split(",")) for row in mine]
    found.append(Damage("wrong header", name, 0, "read flights", "WrongHeader", ["scheduled"], lost))

    name = _file_name("empty file")
    (folder / name).write_bytes(b"")
    found.append(Damage("empty file", name, 0, "read flights", "EmptyFile", [], []))

    _write(folder / GOOD_FILE, [header, *rows])
    manifest = "".join(json.dumps(one._asdict()) + "\n" for one in found)
    (folder / MANIFEST).write_text(manifest)
    return found


def flight_name(fields: Fields) -> str:
    """Returns the name of the flight in a row, as `records.Flight.name` gives it."""
    return f"{fields[_CARRIER]}{fields[_NUMBER]}/{fields[-1]}"


def _file_name(kind: str) -> str:
    return f"flights-{kind.replace(' ', '-')}.csv"


def _write(path: pathlib.Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make files of flights with deliberate damage.")
    parser.add_argument("source", type=pathlib.Path, help="a good file of flights")
    parser.add_argument("folder", type=pathlib.Path, help="where to write")
    arguments = parser.parse_args(argv)
    for one in damage(arguments.source, arguments.folder):
        print(f"{one.file}:{one.line}: {one.kind}, to be refused by {one.step!r} as {one.error}")


if __name__ == "__main__":
    main()
