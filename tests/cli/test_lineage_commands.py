"""`why`, `fate`, `sources` and `affected`: what they print, and the exit codes they end with."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from tests.shared_runs import go_where_it_ran


@pytest.fixture
def sums(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    go_where_it_ran(monkeypatch, tmp_path_factory, "sums-of-commands", _sum)
    capsys.readouterr()
    return obs.Store().find("latest").id


def _sum() -> None:
    """Sums by name: a = 1 + 3, b = 2; line 5 is refused, line 6 filtered."""
    pathlib.Path("in.csv").write_text("name,value\na,1\nb,2\na,3\na,x\na,0\n")
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="sums") as p:
        (
            p
            | "read" >> obs.ReadFromCsv("in.csv")
            | "parse" >> obs.Stage(beam.Map(lambda record: (record["name"], int(record["value"]))))
            | "positive" >> beam.Filter(lambda pair: pair[1] > 0)
            | "sum" >> beam.CombinePerKey(sum)
            | "as dict" >> beam.MapTuple(lambda name, total: {"name": name, "total": total})
            | "write" >> obs.WriteToJson("out/sums")
        )


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


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    answer = json.loads(output(capsys, *arguments, "--json"))
    assert isinstance(answer, dict)
    return answer


def test_why_shows_the_source_records_of_a_sum(sums: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = output(capsys, "why", "out/sums*", "--match", "name=a")
    for expected in (
        sums[:13],
        "complete",
        "sum key a: made of 2 elements",
        "by read > parse > positive > sum",
        "by sum > as dict > write",
        "in.csv:2 @11  verified\n      a,1",
        "in.csv:4 @19  verified\n      a,3",
    ):
        assert expected in told


def test_why_gives_the_same_as_json(sums: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = as_json(capsys, "why", "out/sums*", "--match", "name=a")
    assert answer["certainty"]["kind"] == "complete"
    assert answer["run"]["id"] == sums
    (tree,) = answer["made_of"]
    assert [one["line"] for one in tree["contributors"]] == [2, 4]
    again = as_json(capsys, "why", answer["origin"])
    assert again["made_of"][0]["contributors"] == tree["contributors"]


def test_fate_shows_where_a_record_went(sums: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = output(capsys, "fate", "in.csv:2")
    assert "in sum key a, of 2 elements" in told
    assert "written by write: out/sums" in told
    (aggregate,) = as_json(capsys, "fate", "in.csv@11")["fate"]["aggregates"]
    (written,) = aggregate["written"]
    (place,) = written["places"]
    file, _, number = place.rpartition(":")
    assert json.loads(pathlib.Path(file).read_text().splitlines()[int(number) - 1])["name"] == "a"


def test_fate_shows_where_a_record_ended(sums: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "refused by parse: ValueError" in output(capsys, "fate", "in.csv:5")
    filtered = output(capsys, "fate", "in.csv:6")
    assert "filtered, by elimination" in filtered
    assert "positive" in filtered
    assert "header" in output(capsys, "fate", "in.csv:1")


def test_sources_and_affected_tell_what_was_read_and_touched(
    sums: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "in.csv" in output(capsys, "sources", "latest")
    assert as_json(capsys, "sources", sums)["partitions"][0]["records"] == 5
    told = output(capsys, "affected", "--source", "in.csv")
    assert "touched 2 of 2 records of write, 1 through aggregates" in told
    (run,) = as_json(capsys, "affected", "--source", "in.csv")["runs"]
    assert run["sinks"][0]["records"] == 2
    version = obs.Store().find("latest").start["code"]["version"]
    assert "touched 2 of 2 records of write" in output(capsys, "affected", "--code", version)
    assert exit_code(["affected", "--source", "elsewhere/in.csv"]) == 1
    told = capsys.readouterr().err
    assert "no run in the store .beam_obs read elsewhere/in.csv; the nearest is:" in told
    assert str(pathlib.Path("in.csv").absolute()) in told


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("why", "out/sums*"), 2, "several records"),
        (("why", "gone.json:3"), 1, "no such file"),
        (("why", "out/sums*", "--match", "name"), 2, "give FIELD=VALUE"),
        (("why", "out/sums*", "--match", "nam=a"), 2, "has no field 'nam'"),
        (("why", "out/sums*", "--match", "name=z"), 2, "no record of out/sums* has name=z"),
        (("why", "out/sums*:99"), 1, "no line 99"),
        (("why", "in.csv:2"), 1, "says that it wrote in.csv"),
        (("why", "out/sums*", "--match", "name=a", "--run", "nope"), 1, "no run 'nope'"),
        (("fate", "in.csv"), 2, "give FILE:LINE"),
        (("fate", "in.csv:0"), 2, "counted from 1"),
        (("fate", "in.csv:99"), 1, "has 6 lines, and no line 99"),
        (("fate", "other.csv:1"), 1, "says that it read other.csv"),
        (("affected",), 2, "give --source FILE or --code VERSION"),
        (("sources", "nope"), 1, "no run 'nope'"),
    ],
)
def test_what_cannot_be_answered_is_one_message(
    sums: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    assert message in error(capsys, *arguments, code=code)


def test_an_origin_that_no_run_knows_is_not_recorded(sums: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("why", "fate"):
        answer = as_json(capsys, command, "12" * 16)
        assert answer["certainty"]["kind"] == "not recorded"


@pytest.mark.parametrize("command", [("why", "out/sums*", "--match", "name=a"), ("fate", "in.csv:2")])
def test_an_answer_does_not_wait_for_beam(sums: str, command: tuple[str, ...]) -> None:
    program = (
        "import sys; from beam_obs.cli.main import exit_code; "
        f"code = exit_code({list(command)!r}); "
        "sys.exit(code or 'apache_beam' in sys.modules or 'numpy' in sys.modules)"
    )
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr


def test_runs_of_changed_files_on_top_of_a_commit_are_told_as_such(
    capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, version in enumerate(("0123456789ab", "0123456789ab+dirty", "ffffffffffff")):
        folder = pathlib.Path(f".beam_obs/runs/nightly/0193aaaa-000{number}-7000-8000-000000000000")
        folder.mkdir(parents=True)
        start = {"started": "2026-01-02T03:04:05.000000Z", "code": {"version": version}}
        (folder / "start.json").write_text(json.dumps(start))
        (folder / "end.json").write_text(json.dumps({"status": "done", "finished": start["started"]}))
    told = output(capsys, "affected", "--code", "0123456789ab")
    assert told.count("0193aaaa") == 2
    assert "code 0123456789ab+dirty" in told
    alone = output(capsys, "affected", "--code", "0123456789ab+dirty")
    assert alone.count("0193aaaa") == 1
