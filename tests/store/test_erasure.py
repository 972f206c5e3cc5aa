"""One person's evidence is erased from all runs of a store, and later answers say so."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import apache_beam as beam
import fastavro
import pytest
from opentelemetry import trace

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.lineage import affected, fate, why
from beam_obs.store.erasure import erase
from beam_obs.store.evidence import dead_letters, read_evidence
from beam_obs.store.kept_spans import kept_spans
from beam_obs.store.person import Person
from beam_obs.store.store import Store

ADA, BOB = "ada@example.org", "bob@example.org"
Capture = pytest.CaptureFixture[str]


def checked(row: dict[str, Any]) -> dict[str, Any]:
    with trace.get_tracer("people").start_as_current_span("checking") as span:
        span.set_attribute("mail", row["email"])
    if row["amount"] == "x":
        raise ValueError(f"no amount for {row['email']}")
    return row


def run(folder: pathlib.Path) -> None:
    argv = [f"--obs_store={folder / 'store'}", "--obs_report=off", "--obs_lineage_filtered=all"]
    argv.append("--obs_trace_share=1")
    with obs.Pipeline("FnApiRunner", argv=[*argv, "--obs_max_dead_rate=1"], name="people") as p:
        good = (
            p
            | "read" >> obs.ReadFromCsv(str(folder / "in.csv"))
            | "check" >> obs.Stage(beam.Map(checked))
            | "count"
            >> obs.Check(obs.holds("is positive", lambda row: row["amount"] != "0"), on_break="count")
        )
        _ = good | "drop" >> obs.Stage(beam.Filter(lambda row: row["amount"] != "0"))
        _ = good | "write" >> obs.WriteToJson(str(folder / "out"))
        (
            good
            | "by city" >> beam.Map(lambda row: (row["city"], int(row["amount"])))
            | "sum" >> beam.CombinePerKey(sum)
            | "name" >> beam.MapTuple(lambda key, total: {"k": key, "s": total})
            | "write sums" >> obs.WriteToJson(str(folder / "sums"))
        )
        (
            good
            | "by mail" >> beam.Map(lambda row: (row["email"], 1))
            | "visits" >> beam.CombinePerKey(sum)
            | "text" >> beam.MapTuple(lambda key, total: f"{total}")
            | "write visits" >> obs.WriteToText(str(folder / "visits"))
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("made")
    rows = [
        f"{ADA},1,Bern", f"{ADA},x,Bern", f"{ADA},0,Bern", f"{ADA},2,Rome",
        f"{BOB},3,Bern", f"{BOB},x,Rome", f"{BOB},0,Rome", f"{BOB},4,Rome", f"{BOB},5,Rome",
    ]  # fmt: skip
    (folder / "in.csv").write_text("\n".join(["email,amount,city", *rows, ""]))
    run(folder)
    run(folder)
    return folder


@pytest.fixture
def store(made: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.chdir(made)
    monkeypatch.setenv("BEAM_OBS_STORE", str(tmp_path / "store"))
    shutil.copytree(made / "store", tmp_path / "store")
    return tmp_path / "store"


def contents(store: pathlib.Path) -> str:
    """Returns all that a store says, rows of Avro as text."""
    parts = []
    for file in sorted(store.rglob("*")):
        if file.suffix == ".avro":
            with file.open("rb") as opened:
                parts += [repr(row) for row in fastavro.reader(opened)]
        elif file.is_file():
            parts.append(file.read_text())
    return "\n".join(parts)


def origin_of(line: int) -> bytes:
    found = fate(f"in.csv:{line}")
    assert found.into is not None
    return found.into.origin


def prune(capture: Capture, *arguments: str, code: int = 0) -> str:
    capture.readouterr()
    assert exit_code(["prune", *arguments]) == code
    return "".join(capture.readouterr())


def test_nothing_of_a_person_is_left_and_all_of_the_others_is(store: pathlib.Path, capsys: Capture) -> None:
    origins = [origin_of(line) for line in (2, 3, 4, 5)]
    options = [arg for origin in origins for arg in ("--origin", origin.hex())]
    assert ADA in contents(store)
    text = prune(capsys, "--match", f"email={ADA}", *options)
    assert "from 2 runs" in text
    assert "2 dead letters" in text
    assert " spans" in text
    said = contents(store)
    assert ADA not in said
    assert not any(origin.hex() in said or repr(origin) in said for origin in origins)
    for record in Store().runs():
        letters = [letter for letter, _ in dead_letters(Store(), record)]
        assert [json.loads(letter.payload_text)["email"] for letter in letters] == [BOB]
        spans = kept_spans(Store(), record.folder, "beam.origin").spans
        assert [span.attributes["mail"] for span in spans if span.name == "checking"] == [BOB] * 5
        assert any(span.events for span in spans)
        assert not record.problems
        assert not read_evidence(Store(), record.folder, record.end).problems
    assert "nothing" in prune(capsys, "--match", f"email={ADA}", *options)


def test_later_answers_say_that_evidence_was_erased(store: pathlib.Path, capsys: Capture) -> None:
    options = [arg for line in (2, 3, 4) for arg in ("--origin", origin_of(line).hex())]
    prune(capsys, *options)
    for line in (2, 3, 4):
        assert fate(f"in.csv:{line}").certainty.reason.startswith("erased")
        assert not fate(f"in.csv:{line}").certainty.is_damaged
    answer = why("sums-00000-of-00001", {"k": "Bern"})
    assert "erased" in answer.certainty.reason
    assert "erased" in affected(source="in.csv").certainty.reason
    assert fate("in.csv:6").certainty.text == "complete"  # of somebody else
    assert exit_code(["dead-letters", "list", "latest", "--letters"]) == 0
    printed = capsys.readouterr()
    assert BOB in printed.out
    assert "were erased from it" in printed.err


def test_a_dry_run_only_counts(store: pathlib.Path, capsys: Capture) -> None:
    before = contents(store)
    told = json.loads(prune(capsys, "--match", f"email={ADA}", "--dry-run", "--json"))
    assert contents(store) == before
    done = json.loads(prune(capsys, "--match", f"email={ADA}", "--json"))
    assert told | {"dry_run": False} == done
    assert told["erased"]["dead letters"] == 2


@pytest.mark.slow
def test_an_erasure_that_was_interrupted_goes_on_and_ends_the_same(
    store: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person("email", ADA, frozenset({origin_of(2), origin_of(4)}))
    shutil.copytree(store, tmp_path / "whole")
    erase(Store(str(tmp_path / "whole")), person)
    wanted = contents(tmp_path / "whole")
    steps = 0
    while True:
        steps += 1
        other = tmp_path / f"store-{steps}"
        shutil.copytree(store, other)
        if not _interrupted(Store(str(other)), person, steps, monkeypatch):
            break
        if not (other / "erasing.json").exists():
            assert steps == 1
        else:
            assert "has not ended" in fate("in.csv:6", store=Store(str(other))).certainty.reason
        erase(Store(str(other)), person)
        assert contents(other) == wanted
        shutil.rmtree(other)
    assert steps > 8


def _interrupted(store: Store, person: Person, steps: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Erases, but for writes and removals from a step on; returns whether there were so many."""
    left = [steps]

    def fail_at_last(name: str) -> None:
        real = getattr(store.files, name)

        def counted(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(store.files, name, counted)

    fail_at_last("write")
    fail_at_last("delete")
    try:
        erase(store, person)
    except KeyboardInterrupt:
        return True
    return False


def test_what_cannot_be_searched_is_said(store: pathlib.Path, capsys: Capture) -> None:
    file = next(iter(sorted(store.glob("runs/people/*/dead_letters-*"))))
    file.write_bytes(file.read_bytes()[:-40])
    text = prune(capsys, "--match", f"email={ADA}", code=1)
    assert f"{file.name} is damaged" in text


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--match", "email"),
        ("--origin", "7"),
        ("--match", "a=b", "--older-than", "1d"),
        ("--match", "a=b", "--keep-failed"),
    ],
)
def test_wrong_usage_erases_nothing(store: pathlib.Path, capsys: Capture, arguments: tuple[str, ...]) -> None:
    before = contents(store)
    prune(capsys, *arguments, code=2)
    assert contents(store) == before
