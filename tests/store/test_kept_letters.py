"""Dead letters are found by the index of their file as they are without it, and it is never just believed."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import tempfile
from collections.abc import Iterator

import apache_beam as beam
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import beam_obs as obs
from beam_obs.cli.main import beam_obs as command_line
from beam_obs.dead_letters.dead_letter_files import AvroRows
from beam_obs.dead_letters.evidence_file import EvidenceFile, write_index
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.manifest import commit_content, short_hash
from beam_obs.records.wanted_letters import WantedLetters
from beam_obs.store.erasure import erase
from beam_obs.store.evidence import read_evidence
from beam_obs.store.kept_letters import KeptLetters, kept_letters
from beam_obs.store.person import Person
from beam_obs.store.store import Store

RUN = "0193aaaa-0001-7000-8000-000000000001"
STAGES = ("parse", "parse/more", "check")
FINGERPRINTS = ("ab00000000000001", "ab10000000000002", "cd00000000000003")
TYPES = ("ValueError", "beam_obs.TornRow")
ORIGINS = (None, "", "no origin", *(f"{number:032x}" for number in range(1, 400)))


def letters(seed: int, rows: int, bundles: int) -> list[DeadLetter]:
    """Returns letters of some bundles, mixed; of no bundle their ids have a form of their own."""
    dice = random.Random(seed)
    numbers = [dice.choice((0, 7, 95)) for _ in range(bundles)]
    found = []
    for row in range(rows):
        identity = f"{RUN}.own-{row}"
        if bundles:
            bundle = dice.randrange(bundles) if dice.random() < 0.02 else row * bundles // rows
            identity = f"{RUN}.{'a' * bundle}f.{numbers[bundle]}"
            numbers[bundle] += 1
        found.append(
            DeadLetter(
                *(identity, "key", RUN, "p", dice.choice(STAGES), dice.choice(ORIGINS), None, None, 0),
                *("global", "", 1, dice.choice(TYPES), f"wrong: {row}", "", dice.choice(FINGERPRINTS)),
                *(dice.randbytes(900), "raw", str(row), 1, 1, identity, "unknown"),
            )
        )
    return found


def write_file(folder: pathlib.Path, name: str, rows: list[DeadLetter]) -> None:
    """Writes a file of dead letters and commits it, as a bundle does."""
    file = EvidenceFile(str(folder / name), "letters", may_be_lost=False)
    writer = AvroRows(file, "parse")
    for letter in rows:
        writer.write(letter)
    manifest = writer.close()
    file.finish()
    index = write_index(str(folder / name), writer.index())
    told = dataclasses.replace(manifest, file=name, details={**manifest.details, **file.told(), **index})
    content = commit_content([told.to_json()], None)
    (folder / f"manifest-{short_hash(content)}.json").write_bytes(content)


def files_of(folder: pathlib.Path) -> list[KeptLetters]:
    store = Store(str(folder))
    evidence = read_evidence(store, "")
    return list(kept_letters(store, "", evidence.committed, evidence.by_file))


def indexes(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(folder.rglob("index-of-*"))


def questions(rows: list[DeadLetter], dice: random.Random) -> Iterator[WantedLetters]:
    for letter in dice.sample(rows, 3):
        own = letter.id.partition(".")[2]
        yield WantedLetters(own_id=own)
        yield WantedLetters(own_id=own[: dice.randrange(1, len(own) + 1)])
        yield WantedLetters(origin=letter.origin)
        yield WantedLetters(letter.stage, letter.fingerprint[: dice.randrange(17)])
        yield WantedLetters(letter.stage, error_types=(letter.error_type, "KeyError"))
    yield WantedLetters(own_id="f.0")
    yield WantedLetters(own_id="nowhere")
    yield WantedLetters(fingerprint="ab")
    yield WantedLetters(fingerprint="ee")
    yield WantedLetters("no stage")
    yield WantedLetters(origin="f" * 32)


@settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 1 << 32), st.integers(1_000, 1_600), st.integers(0, 3))
@pytest.mark.slow
def test_letters_are_found_with_an_index_as_without(seed: int, rows: int, bundles: int) -> None:
    dice = random.Random(seed)
    written = letters(seed, rows, bundles)
    cut = dice.randrange(rows - 1_000, rows + 1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_file(folder, "dead_letters-a.avro", written[:cut])
        write_file(folder, "dead_letters-b.avro", written[cut:])
        for wanted in questions(written, dice):
            found = [letter for file in files_of(folder) for letter in file.wanted(wanted)]
            assert found == [letter for letter in written if wanted.has(letter)], wanted
        assert any(file.index for file in files_of(folder)) == bool(indexes(folder))


def test_a_block_without_what_is_asked_for_is_not_looked_at(tmp_path: pathlib.Path) -> None:
    written = letters(1, 2_000, 1)
    write_file(tmp_path, "dead_letters-a.avro", written)
    (file,) = files_of(tmp_path)

    assert file.index is not None
    may_be_in = file.index.rows_of(WantedLetters(own_id=written[500].id.partition(".")[2]))
    assert next(row for row in range(2_000) if may_be_in(row, row + 1)) == 500
    assert not file.index.rows_of(WantedLetters(fingerprint="ee"))(0, 2_000)


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "of another file"])
def test_an_index_that_is_not_as_it_was_written_is_not_used(tmp_path: pathlib.Path, damage: str) -> None:
    written = letters(2, 2_000, 2)
    write_file(tmp_path, "dead_letters-a.avro", written[:1_000])
    write_file(tmp_path, "dead_letters-b.avro", written[1_000:])
    first, second = indexes(tmp_path)
    if damage == "missing":
        first.unlink()
    elif damage == "of another file":
        first.write_bytes(second.read_bytes())
    else:
        content = first.read_bytes()
        first.write_bytes(content[:-9] if damage == "cut" else content[:-9] + b"\0" + content[-8:])
    wanted = WantedLetters(fingerprint=FINGERPRINTS[0])

    files = files_of(tmp_path)

    assert [file.index is None for file in files] == [True, False]
    found = [letter for file in files for letter in file.wanted(wanted)]
    assert found == [letter for letter in written if wanted.has(letter)]
    assert not any(file.problem_so_far for file in files)


def test_an_index_of_a_file_that_was_changed_is_not_used(tmp_path: pathlib.Path) -> None:
    write_file(tmp_path, "dead_letters-a.avro", letters(3, 1_500, 1))
    path = tmp_path / "dead_letters-a.avro"
    path.write_bytes(path.read_bytes()[:-2_000])
    (file,) = files_of(tmp_path)

    assert list(file.wanted(WantedLetters(own_id="f.")))
    assert file.index is None
    assert "is cut" in file.problem_so_far


def ask(*command: str) -> str:
    result = CliRunner().invoke(command_line, command)
    assert result.exit_code == 0, result.output
    return result.output


def run_with_refusals(folder: pathlib.Path) -> None:
    lines = (f"{'bad' if number % 3 else 'worse'} {number}\n" for number in range(1_500))
    (folder / "in.txt").write_text("".join(lines))
    argv = ["--obs_store=.beam_obs", "--obs_report=off", "--obs_max_dead_rate=1"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="many") as p:
        _ = p | "read" >> obs.ReadFromText("in.txt") | "parse" >> obs.Stage(beam.Map(parse))


def parse(line: str) -> int:
    if line.startswith("worse"):
        raise KeyError("worse")
    return int(line)


def test_commands_answer_alike_with_an_index_and_without(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_with_refusals(tmp_path)
    every = list(obs.read_dead_letters("latest"))
    assert len(every) == 1_500
    commands = [
        ("dead-letters", "show", every[700].id),
        ("dead-letters", "list", "latest", "--fingerprint", every[0].fingerprint, "--json"),
        ("dead-letters", "list", "latest", "--letters", "--stage", "parse", "--limit", "3"),
        ("fate", "in.txt:1234"),
        ("fate", str(every[3].origin)),
    ]
    with_index = [ask(*command) for command in commands]
    (index,) = indexes(tmp_path)
    index.unlink()

    assert [ask(*command) for command in commands] == with_index
    assert "complete" in with_index[3]


def test_an_index_goes_with_the_rows_that_are_erased(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_with_refusals(tmp_path)
    every = list(obs.read_dead_letters("latest"))

    erase(Store(), Person(origins=frozenset([bytes.fromhex(str(every[700].origin))])))

    assert not indexes(tmp_path)
    assert every[800].id in ask("dead-letters", "show", every[800].id)
    assert len(list(obs.read_dead_letters("latest"))) == 1_499
