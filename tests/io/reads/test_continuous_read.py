"""Files that come while a job runs are read once each, when they are whole; what changes is said."""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

import beam_obs as obs
import beam_obs.lineage as lineage
from beam_obs.files.file_state import FileState
from beam_obs.files.found_files import find_files
from beam_obs.io.reads.arriving_files import Looks, NewFiles


class Known:
    """State of one key."""

    def __init__(self) -> None:
        self.value: str | None = None

    def read(self) -> str | None:
        return self.value

    def write(self, value: str) -> None:
        self.value = value


class Looked:
    """A file that is looked at again and again."""

    def __init__(self, stop: Any = MAX_TIMESTAMP, **how: Any) -> None:
        given = {
            "interval": 10.0,
            "start": Timestamp(0),
            "stop": stop,
            "settles": True,
            "on_changed": "dead_letter",
        }
        self.dofn = NewFiles(Looks(**given | how))  # type: ignore[arg-type]
        self.known = Known()

    def look(self, at: float, content: str, modified: int = 1, gone: bool = False) -> list[str]:
        """Returns what is given: the content of the file, or why it is refused."""
        path = pathlib.Path("file.txt").absolute()
        path.write_text(content)
        (file,) = find_files(str(path), "read")
        if gone:
            path.unlink()
        file = file._replace(state=FileState(len(content), modified))
        element = (file.path, (file, at))
        given = list(self.dofn.process(element, Timestamp(at), self.known))
        return [one.refused.removeprefix(f"{path} ") or content for one in given]


def test_a_file_is_given_once_when_it_has_stayed_the_same() -> None:
    file = Looked()
    assert file.look(0, "a", 1) == []
    assert file.look(10, "a b", 2) == []
    assert file.look(20, "a b c", 3) == []
    assert file.look(30, "a b c", 3) == ["a b c"]
    assert file.look(40, "a b c", 3) == []


def test_looks_that_come_at_once_say_nothing_of_a_file_that_grows() -> None:
    file = Looked()
    assert [file.look(at, "a", 1) for at in (0, 0.001, 0.002, 9.9)] == [[], [], [], ["a"]]


def test_the_last_look_gives_what_is_there() -> None:
    file = Looked(stop=Timestamp(30))
    assert file.look(10, "a", 1) == []
    assert file.look(20, "a b", 2) == ["a b"]


def test_files_that_get_their_names_when_they_are_whole_are_given_at_once() -> None:
    file = Looked(settles=False)
    assert file.look(0, "a", 1) == ["a"]
    assert file.look(10, "a", 1) == []


@pytest.mark.parametrize(
    ("on_changed", "given"),
    [
        ("dead_letter", ["had 1 bytes when it was read, and has 3 now: it was changed"]),
        ("again", ["a b"]),
        ("ignore", []),
    ],
)
def test_a_file_that_changes_after_it_was_read(on_changed: str, given: list[str]) -> None:
    file = Looked(on_changed=on_changed)
    assert [file.look(at, "a", 1) for at in (0, 10)] == [[], ["a"]]
    # Written to again with the same content it is the same file.
    assert [file.look(at, "a", 2) for at in (20, 30)] == [[], []]
    assert [file.look(at, "a b", 3) for at in (40, 50, 60)] == [[], given, []]


def test_a_file_that_is_gone_before_it_is_read_is_said_and_may_come_again() -> None:
    file = Looked()
    assert file.look(0, "a", 1) == []
    assert file.look(10, "a", 1, gone=True) == ["was gone before it was read"]
    assert file.look(20, "a", 1) == ["a"]


AVRO = {"type": "record", "name": "City", "fields": [{"name": "city", "type": "string"}]}
CAME: dict[str, list[Any]] = {}


def note(record: Any, kind: str) -> None:
    """Keeps what came."""
    CAME.setdefault(kind, []).append(record)


@pytest.mark.slow
def test_files_are_read_by_any_read_of_ours() -> None:
    CAME.clear()
    pathlib.Path("in").mkdir()
    pathlib.Path("in/one.csv").write_text("city\nrome\ntorn,2\nulm\n")
    pathlib.Path("in/one.jsonl").write_text('{"city": "oslo"}\nnothing\n')
    pathlib.Path("in/one.txt").write_text("bern\n")
    with open("in/one.avro", "wb") as file:
        fastavro.writer(file, AVRO, [{"city": "bonn"}])
    reads = {
        "csv": obs.ReadFromCsv("in/*.csv"),
        "json": obs.ReadFromJson("in/*.jsonl"),
        "text": obs.ReadFromText("in/*.txt"),
        "avro": obs.ReadFromAvro("in/*.avro"),
        "whole": obs.ReadWholeFiles("in/*.txt"),
        "none": obs.ReadFromText("in/*.none"),
    }
    start = time.time()
    options = PipelineOptions(["--streaming", "--obs_report=off"])
    with obs.Pipeline("DirectRunner", options, name="continuously") as p:
        for kind, read in reads.items():
            records = p | kind >> obs.ReadContinuously(
                read, 0.25, start_timestamp=start, stop_timestamp=start + 0.5
            )
            assert not records.is_bounded
            _ = records | f"note {kind}" >> beam.Map(note, kind)

    assert {kind: sorted(map(str, records)) for kind, records in CAME.items() if kind != "whole"} == {
        "csv": ["{'city': 'rome'}", "{'city': 'ulm'}"],
        "json": ["{'city': 'oslo'}"],
        "text": ["bern"],
        "avro": ["{'city': 'bonn'}"],
    }
    assert [file.content for file in CAME["whole"]] == [b"bern\n"]
    record = obs.Store().find("latest")
    end = record.end or {}
    assert end["balance"]["holds"] is True, end["balance"]
    assert end["balance"]["unchecked_steps"] == []
    assert {one["name"]: one["records"] for one in end["inputs"]}["csv"] == 2
    letters = {letter.error_type: letter for letter in obs.read_dead_letters(record.id)}
    assert letters.keys() == {"beam_obs.TornRow", "beam_obs.NotJson"}
    torn = letters["beam_obs.TornRow"]
    assert torn.position == 10
    assert torn.origin is not None
    answer = lineage.fate(torn.origin, run=record.id)
    assert answer.into is not None
    assert [one.id for one in answer.into.dead_letters] == [torn.id]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: obs.ReadContinuously("in/*.csv"), "got 'in/\\*.csv': give a read of files of ours"),
        (
            lambda: obs.ReadContinuously(beam.io.ReadFromText("in", validate=False)),
            "give a read of files of ours",
        ),
        (lambda: obs.ReadContinuously(obs.ReadFromText("in*"), interval=0), "interval=0: give seconds"),
        (
            lambda: obs.ReadContinuously(obs.ReadFromText("in*"), on_changed="skip"),
            "'dead_letter', 'again', 'ignore'",
        ),
        (lambda: obs.ReadContinuously(obs.ReadFromText("in*"), settles=1), "settles=1: give True or False"),
        (lambda: obs.ReadContinuously(obs.ReadFromText("in*"), stop_timestamp=5), "no time between"),
        (lambda: obs.ReadContinuously(obs.ReadFromText("in*"), stop_timestamp="x"), "stop_timestamp='x'"),
    ],
)
def test_misuse_is_told_when_it_is_made(make: Any, message: str) -> None:
    with pytest.raises(obs.UsageError, match=message):
        make()


def test_it_is_known_by_the_label_of_the_read_and_gives_its_dead_letters() -> None:
    pathlib.Path("one.txt").write_bytes(b"bern\n\xff\n")
    read = obs.ReadContinuously("lines" >> obs.ReadFromText("one.txt"), 0.1, stop_timestamp=time.time() + 0.2)
    seen = pathlib.Path("seen")
    with beam.Pipeline("DirectRunner", argv=["--streaming"]) as p:
        lines, dead = p | read.with_dead_letters()
        letters = dead | beam.Map(lambda letter: [letter.stage, letter.position])
        _ = (
            (lines, letters)
            | beam.Flatten()
            | beam.Map(lambda one: seen.open("a").write(f"{json.dumps(one)}\n"))
        )
    assert sorted(seen.read_text().splitlines()) == ['"bern"', '["lines", 5]']
