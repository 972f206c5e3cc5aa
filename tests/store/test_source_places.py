"""Places of refused records that the worker which refused them did not know."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.records import known_partitions
from beam_obs.records.origin import Partition
from beam_obs.store.source_partition import SourcePartition
from beam_obs.store.source_places import SourcePlaces
from beam_obs.testing import assert_dead_letters, dead_letter


def parse(line: str) -> int:
    known_partitions._KNOWN.clear()  # as on a worker that has not read the file
    return int(line)


@pytest.fixture
def file() -> str:
    pathlib.Path("numbers.txt").write_text("1\n22\nx\n")
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off", "--obs_max_dead_rate=1"], name="far") as p:
        p | "read" >> beam.io.ReadFromText("numbers.txt") | "parse" >> obs.Stage(beam.Map(parse))
    return str(pathlib.Path("numbers.txt").absolute())


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert exit_code([*arguments, "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)  # type: ignore[no-any-return]


def test_places_are_filled_in_wherever_letters_are_read(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (letter,) = obs.read_dead_letters("latest")
    assert (pathlib.Path(letter.source_uri or "").absolute(), letter.position) == (pathlib.Path(file), 5)
    shown = as_json(capsys, "dead-letters", "show", letter.id)
    listed = as_json(capsys, "dead-letters", "list", "latest", "--letters")
    kind = as_json(capsys, "dead-letters", "list", "latest")
    for told in (shown, listed, kind):
        assert (told["source_uri"], told["position"]) == (letter.source_uri, 5)
    assert_dead_letters(obs.Store(), dead_letter(stage="parse", position=5, source_uri=letter.source_uri))


def test_the_letter_was_written_without_its_file(file: str) -> None:
    from beam_obs.store.evidence import dead_letters

    ((letter, _),) = dead_letters(obs.Store(), obs.Store().find("latest"))
    assert letter.source_uri is None


def partition(name: str, uri: str, positions: str = "bytes") -> SourcePartition:
    of = Partition(name, "7-ab", wide=positions == "blocks")
    return SourcePartition(of.code, name, "7-ab", True, of.wide, positions, uri, 7, "read", "", 1, 0)


def test_of_copies_the_place_is_told_and_no_file() -> None:
    places = SourcePlaces([partition("a", "1/a"), partition("a", "2/a"), partition("b", "1/b")])
    assert tuple(places.of(Partition("a", "7-ab").origin(3).hex())) == (None, "7-ab", 3)
    assert tuple(places.of(Partition("b", "7-ab").origin(3).hex())) == ("1/b", "7-ab", 3)


def test_what_is_no_place_in_a_file_is_not_told_as_one() -> None:
    places = SourcePlaces([partition("a", "1/a", "files")])
    assert tuple(places.of(Partition("a", "7-ab").origin(0).hex())) == ("1/a", "7-ab", None)
    for other in (None, "", "no origin", "00" * 16, Partition("c", "7-ab").origin(3).hex()):
        assert tuple(places.of(other)) == (None, None, None)
