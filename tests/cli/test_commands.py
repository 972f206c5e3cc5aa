"""The commands that read a store: what they print, and the exit codes they end with."""

from __future__ import annotations

import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
from typing import Any

import apache_beam as beam
import fastavro
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.records.dead_letter import DEAD_LETTER_SCHEMA, DeadLetter
from beam_obs.testing import assert_dead_letters, dead_letter

LETTERS = ("dead-letters", "list", "latest", "--letters")
ROOT = pathlib.Path(__file__).parents[2]


def parse(text: str) -> int:
    return int(text)


def split(line: str) -> tuple[str, int]:
    name, number = line.split(",")
    return name, int(number)


def check(pair: tuple[str, int]) -> tuple[str, int]:
    if pair[1] < 0:
        raise ValueError(f"negative: {pair[1]}")
    return pair


@pytest.fixture(scope="module")
def where_flights_ran(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("flights")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="flights") as p:
            lines = p | beam.Create(["a,1", "b,2", "c,x", "\x1b[31md", "e,-5", "f,-6"])
            lines | "split" >> obs.Stage(beam.Map(split)) | "check" >> obs.Stage(beam.Map(check))
    return folder


@pytest.fixture
def flights(where_flights_ran: pathlib.Path) -> str:
    """A store of the test's own with one run that refused four records in two stages."""
    shutil.copytree(where_flights_ran, ".", dirs_exist_ok=True)
    return obs.Store().find("latest").id


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code = exit_code(list(arguments))
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return printed.out


def error(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    assert exit_code(list(arguments)) == code
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.err


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_runs_lists_what_the_store_has(flights: str, capsys: pytest.CaptureFixture[str]) -> None:
    listed = output(capsys, "runs")
    assert flights[:13] in listed
    assert "done, 4 dead" in listed
    (line,) = json_lines(output(capsys, "runs", "--json"))
    assert (line["id"], line["pipeline"], line["status"], line["dead"]) == (flights, "flights", "done", 4)
    assert line["balanced"] is True


def test_runs_says_how_many_it_left_out(flights: str, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        folder = pathlib.Path(f".beam_obs/runs/old/0000000{number}-0000-7000-8000-000000000000")
        folder.mkdir(parents=True)
        (folder / "start.json").write_text('{"started": "2020-01-01T00:00:00.000000Z"}')
    listed = output(capsys, "runs", "--limit", "2")
    assert "and 2 older (--limit 0 lists all)" in listed
    assert len(json_lines(output(capsys, "runs", "--limit", "0", "--json"))) == 4


def test_show_prints_the_report(flights: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "show", "flights@latest")
    assert "flights  done, 4 dead" in text
    assert "balanced: every record is accounted for" in text
    assert "\x1b" not in text
    shown = json.loads(output(capsys, "show", flights, "--json"))
    assert {stage["label"]: stage["dead"] for stage in shown["end"]["stages"]} == {"split": 2, "check": 2}


def test_show_writes_a_picture(flights: str, capsys: pytest.CaptureFixture[str]) -> None:
    output(capsys, "show", "latest", "--svg", "report.svg")
    assert pathlib.Path("report.svg").read_text(encoding="utf-8").startswith("<svg")


def test_dead_letters_are_listed_by_stage_and_fingerprint(
    flights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    every = json_lines(output(capsys, "dead-letters", "list", "latest", "--letters", "--json"))
    assert [letter["committed"] for letter in every] == [True] * 4
    checked = json_lines(output(capsys, *LETTERS, "--stage", "check", "--json"))
    assert sorted(letter["error_message"] for letter in checked) == ["negative: -5", "negative: -6"]
    kind = checked[0]["fingerprint"]
    same = json_lines(output(capsys, "dead-letters", "list", "latest", "--fingerprint", kind[:6], "--json"))
    assert len(same) == 2
    text = output(capsys, *LETTERS, "--limit", "1")
    assert "and more (--limit 0 lists all)" in text
    assert "\x1b" not in output(capsys, *LETTERS)


def test_dead_letters_are_listed_by_source_and_text(capsys: pytest.CaptureFixture[str]) -> None:
    for name, lines in (("a", "größe,x\nok,1\n"), ("b", "größe,y\nrest,x\n")):
        pathlib.Path(f"{name}.csv").write_text(lines, encoding="utf-8")
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="files") as p:
        p | beam.io.ReadFromText("?.csv") | "split" >> obs.Stage(beam.Map(split))
    capsys.readouterr()

    def texts(*arguments: str) -> list[str]:
        found = json_lines(output(capsys, "dead-letters", "list", "latest", *arguments, "--json"))
        return sorted(letter["payload_text"] for letter in found)

    assert texts("--source", "a.csv") == ["größe,x"]
    assert texts("--source", str(pathlib.Path("b.csv").absolute()), "--stage", "split") == [
        "größe,y",
        "rest,x",
    ]
    assert texts("--text", "größe") == ["größe,x", "größe,y"]
    assert texts("--text", "größe", "--source", "b.csv") == ["größe,y"]
    assert texts("--text", "Größe") == []
    list_ = ("dead-letters", "list", "latest")
    assert "größe,x" in output(capsys, *list_, "--source", "a.csv")
    told = error(capsys, *list_, "--source", "c.csv", code=1)
    assert "read no file 'c.csv'" in told
    assert str(pathlib.Path("a.csv").absolute()) in told
    assert "got nothing" in error(capsys, *list_, "--text", "", code=2)
    assert "compares kinds" in error(capsys, *list_[:2], "--pipeline", "files", "--text", "x", code=2)


def test_a_text_is_found_behind_what_is_shown_of_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="long") as p:
        p | beam.Create(["x" * 5_000 + "needle", "y"]) | "split" >> obs.Stage(beam.Map(split))
    capsys.readouterr()
    found = json_lines(output(capsys, "dead-letters", "list", "latest", "--text", "needle", "--json"))
    assert [letter["payload_text"][:2] for letter in found] == ["xx"]


def test_a_dead_letter_is_shown_decoded(flights: str, capsys: pytest.CaptureFixture[str]) -> None:
    letter = json_lines(output(capsys, *LETTERS, "--stage", "check", "--json"))[0]
    number = letter["error_message"].removeprefix("negative: ")
    text = output(capsys, "dead-letters", "show", letter["id"])
    assert f"{number})" in text.partition("payload\n")[2].splitlines()[0]
    assert "in check" in text
    own = letter["id"].partition(".")[2]
    assert letter["id"] in output(capsys, "dead-letters", "show", f"{flights[:13]}.{own}")
    assert json.loads(output(capsys, "dead-letters", "show", letter["id"], "--json"))["id"] == letter["id"]


def test_a_payload_is_written_as_it_was(flights: str) -> None:
    (first, *_) = obs_dead_letters()
    done = command("dead-letters", "show", first.id, "--payload")
    assert (done.returncode, done.stdout) == (0, first.payload)


def obs_dead_letters() -> list[Any]:
    from beam_obs.store.evidence import dead_letters

    return [letter for letter, _ in dead_letters(obs.Store(), obs.Store().find("latest"))]


def command(*arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "beam_obs.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        **more,
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "latest"), 1, "no store at '.beam_obs': there is no such folder"),
        (("show",), 2, "Missing argument 'RUN'"),
        (("runs", "--limit", "-1"), 2, "not in the range"),
        (("fly",), 2, "No such command"),
        (("run", "nothing.py"), 2, "no program 'nothing.py'"),
        (("dead-letters", "list"), 2, "give a RUN"),
        (("dead-letters", "list", "latest", "--pipeline", "flights"), 2, "give a RUN"),
        (("dead-letters", "list", "--pipeline", "p", "--letters"), 2, "list p@latest --letters"),
        ((), 2, "Commands:"),
    ],
)
def test_wrong_usage_has_its_code(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    assert says in error(capsys, *arguments, code=code)


OF_A_STORE = [
    ("runs",),
    ("show", "latest"),
    ("graph", "latest", "--output", "-"),
    ("diff", "latest", "latest"),
    ("dead-letters", "list", "latest"),
    ("dead-letters", "list", "--pipeline", "flights"),
    ("dead-letters", "show", "0193.1"),
    ("why", "0193a1b2c3d4e5f60718293a4b5c6d7e"),
    ("fate", "lines.txt:1"),
    ("sources", "latest"),
    ("affected", "--code", "abc"),
    ("prune", "--older-than", "1d"),
]


@pytest.mark.parametrize("arguments", OF_A_STORE, ids=" ".join)
def test_a_folder_that_is_no_store_is_said(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    pathlib.Path("there").mkdir()
    pathlib.Path("other/runs").mkdir(parents=True)
    told = error(capsys, *arguments, "--store", "there", code=1)
    assert told.startswith("beam-obs: no store at 'there': the folder has no runs/; nearby is: other.")
    assert "no such folder" in error(capsys, *arguments, "--store", "ther", code=1)


@pytest.mark.parametrize(
    ("arguments", "says", "nearest"),
    [
        (("runs", "--pipeline", "flihgts"), "no pipeline 'flihgts'", "the nearest is:\n  flights"),
        (("show", "nobody@latest"), "no pipeline 'nobody'", "there is:\n  flights"),
        (("show", "0193"), "no run '0193'", "(flights)"),
        (("show", "flihgts"), "no run 'flihgts'", "nearest pipeline is flights@latest"),
        (("dead-letters", "show", "0193.1"), "no run '0193'", "(flights)"),
        (("dead-letters", "list", "--pipeline", "nobody"), "no pipeline 'nobody'", "flights"),
        (("dead-letters", "list", "latest", "--stage", "chekc"), "no stage 'chekc'", "  check"),
        ((*LETTERS, "--stage", "nobody"), "no stage 'nobody'", "  check\n  split"),
        (("dead-letters", "list", "--pipeline", "flights", "--stage", "splitt"), "no stage", "  split"),
        (("dead-letters", "list", "latest", "--fingerprint", "xyz"), "no kind of refusal", "there are:"),
        (("affected", "--code", "zzz"), "has code zzz", "there is:"),
        (("affected", "--source", "nowhere.csv"), "read nowhere.csv", ""),
        (("prune", "--older-than", "1d", "--pipeline", "flihgts"), "no pipeline", "  flights"),
    ],
)
def test_a_name_that_the_store_does_not_have_is_said_with_the_nearest(
    flights: str,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    says: str,
    nearest: str,
) -> None:
    told = error(capsys, *arguments, code=1)
    assert says in told
    assert nearest in told


def test_a_stage_that_refused_nothing_is_no_error(flights: str, capsys: pytest.CaptureFixture[str]) -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="flights") as p:
        p | beam.Create(["a,1"]) | "split" >> obs.Stage(beam.Map(split))
    assert "no such dead letters" in output(capsys, *LETTERS, "--stage", "split")


def test_an_unknown_dead_letter_says_how_to_find_it(flights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"dead-letters list {flights}" in error(
        capsys, "dead-letters", "show", f"{flights}.none.0", code=1
    )
    own = obs_dead_letters()[0].id.partition(".")[2].partition(".")[0]
    assert "may be any of 2" in error(capsys, "dead-letters", "show", f"{flights}.{own}", code=1)


@pytest.mark.parametrize(("asked", "code"), [("show", 0), ("check", 1)])
def test_a_reader_that_stops_early_is_no_error_but_no_gate_opens_for_it(
    flights: str, asked: str, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "beam_obs.cli", asked, "latest", "--json"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (code, b"")


def test_help_is_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("run",), ("runs",), ("show",), ("dead-letters",), ("dead-letters", "list")):
        assert "Usage: beam-obs" in output(capsys, *arguments, "--help")


class _Planted:
    """Writes a file where it is unpickled."""

    def __reduce__(self) -> Any:
        return open, ("planted", "w")


@pytest.mark.parametrize("coder", ["python:PickleCoder", "python:FastPrimitivesCoder", "pickle"])
def test_a_payload_in_the_store_runs_no_code_unless_it_is_trusted(
    coder: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["--obs_store=planted-store", "--obs_report=off", "--obs_max_dead_rate=1"]
    with obs.Pipeline("FnApiRunner", argv=argv, name="b") as p:
        _ = p | beam.Create(["x"]) | "s" >> obs.Stage(beam.Map(int))
    (file,) = (tmp_path / "planted-store").glob("runs/b/*/dead_letters-*.avro")
    with file.open("rb") as opened:
        (row,) = fastavro.reader(opened)
    pickled = pickle.dumps(_Planted())
    payload = b"\xff" + pickled if "Primitives" in coder else pickled
    with file.open("wb") as opened:
        letters = [{**row, "payload_coder": coder, "payload": payload}]
        fastavro.writer(opened, DEAD_LETTER_SCHEMA, letters)
    command = ["dead-letters", "show", str(row["id"]), "--store", "planted-store"]
    assert exit_code(command) == 0
    assert "--trust-pickles lets it" in capsys.readouterr().out
    letter = DeadLetter(**{**row, "payload_coder": coder, "payload": payload})  # type: ignore[arg-type]
    with pytest.raises(AssertionError):
        assert_dead_letters([letter], dead_letter(payload="y"))
    assert not (tmp_path / "planted").exists()
    exit_code([*command, "--trust-pickles"])
    assert (tmp_path / "planted").exists()


@pytest.mark.parametrize("status", ["done\x1b]0;owned\x07\x1b[31m", "[/nope]"])
def test_what_a_store_says_is_neither_markup_nor_for_the_terminal(
    status: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = (
        tmp_path / "odd" / "runs" / f"a{status.replace('/', '')}" / "0193aaaa-0001-7000-8000-000000000001"
    )
    folder.mkdir(parents=True)
    (folder / "start.json").write_text('{"started": "2026-01-02T03:04:05Z", "runner": "[/nope]\\u001b[2J"}')
    error = {"type": status, "message": f"{status}\u202e"}
    (folder / "end.json").write_text(json.dumps({"status": status, "error": error, "counts_from": "live"}))
    for command in (
        ["runs"],
        ["show", "latest"],
        ["show", "nothing"],
        ["show", "other@latest"],
        ["diff", "latest", "latest"],
        ["graph", "latest", "--output", "-"],
        ["prune", "--older-than", "0s", "--keep-newest", "0"],
    ):
        assert exit_code([*command, "--store", "odd"]) in (0, 1)
        printed = "".join(capsys.readouterr())
        assert printed
        assert printed.replace("\n", "").isprintable()


def _lettered(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Returns the id and the fingerprint of a dead letter as the commands show them."""
    first = output(capsys, *LETTERS).splitlines()[0].split()
    return first[0], first[2]


def test_what_is_shown_shortened_is_taken_by_every_command(
    flights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    letter, fingerprint = _lettered(capsys)
    version = obs.Store().find("latest").start["code"]["version"]
    for beginning in (flights[:13], f"{flights[:20]}…", f"{flights[:10]}~", flights[:13].upper()):
        assert flights in output(capsys, "show", beginning)
        assert flights in output(capsys, "sources", beginning, "--json")
        assert letter in output(capsys, "dead-letters", "list", beginning, "--letters")
    for beginning in (letter, letter.upper(), f"{letter}…"):
        assert flights in output(capsys, "dead-letters", "show", beginning)
    for beginning in (fingerprint[:6], fingerprint[:6].upper(), f"{fingerprint[:8]}…"):
        assert fingerprint in output(capsys, *LETTERS, "--fingerprint", beginning)
    bare = version.rpartition(":")[2]
    for beginning in (version[:10], f"{version[:10]}…", bare[:8], version.upper()):
        assert flights[:13] in output(capsys, "affected", "--code", beginning)


def test_the_beginning_of_several_versions_of_the_code_is_said_with_them(
    flights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = obs.Store().find("latest").start["code"]["version"]
    changed = f"{version[:-1]}{'0' if version[-1] != '0' else '1'}"
    told = {"version": changed, "package": None}
    monkeypatch.setattr("beam_obs.runs.observer.code_version", lambda *given: told)
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="flights") as p:
        p | beam.Create(["a,1"]) | "split" >> obs.Stage(beam.Map(split))
    said = error(capsys, "affected", "--code", version[:-2], code=1)
    assert f"may be any of 2 versions of the code:\n  {changed}\n  {version}\n" in said
    assert flights[:13] in output(capsys, "affected", "--code", version)


def test_the_beginning_of_an_origin_is_said_to_be_one(
    flights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "an origin is given by its 32 hex digits" in error(capsys, "why", "67d720c3", code=1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("shwo", "latest"), "no command 'shwo'; did you mean 'show'?"),
        (("affected", "--code", ""), "give --source FILE or --code VERSION"),
        (("dead-letters", "show", "0123456789abcdef"), "is no id of a dead letter, as RUN.PART"),
        (("run", "--name", "a/b", __file__), "a pipeline cannot be named 'a/b'"),
    ],
)
def test_wrong_usage_says_what_to_write(
    arguments: tuple[str, ...], says: str, flights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = error(capsys, *arguments, code=2)
    assert says in told
    assert "(at " not in told


def test_a_command_that_is_interrupted_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(obs.Store, "find", interrupted)
    assert exit_code(["balance", "latest", "--store", "."]) == 130
    assert capsys.readouterr().err == "beam-obs: interrupted\n"
