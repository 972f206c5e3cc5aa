"""Old runs are removed; those that someone may still need, or write to, are not."""

from __future__ import annotations

import datetime
import json
import pathlib
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.runs import process
from beam_obs.runs.store import Store

Capture = pytest.CaptureFixture[str]


def add_run(
    number: int, days: float, status: str = "done", pipeline: str = "nightly", **start: Any
) -> pathlib.Path:
    """Adds a run of 1,000 bytes of evidence that ended so many days ago; without a status it has no end."""
    ended = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
    text = ended.isoformat(timespec="microseconds").replace("+00:00", "Z")
    folder = pathlib.Path(f".beam_obs/runs/{pipeline}/0193aaaa-{number:04}-7000-8000-000000000000")
    folder.mkdir(parents=True)
    (folder / "start.json").write_text(json.dumps({"started": text, **start}))
    (folder / "dead_letters-parse-1.avro").write_bytes(b"x" * 1000)
    if status:
        end = {"status": status, "finished": text, "dead_letters": {"count": 2}}
        (folder / "end.json").write_text(json.dumps(end))
    return folder


def left() -> list[int]:
    return sorted(int(run[9:13]) for run, _ in Store().ids())


def prune(capture: Capture, *arguments: str, code: int = 0) -> str:
    capture.readouterr()
    assert exit_code(["prune", *arguments]) == code
    printed = capture.readouterr()
    assert "Traceback" not in printed.err
    return printed.out + printed.err


def test_old_runs_go_but_the_newest_of_each_pipeline(capsys: Capture) -> None:
    gone = [add_run(1, 90), add_run(2, 40)]
    add_run(3, 1)
    add_run(4, 300, pipeline="yearly")
    text = prune(capsys, "--older-than", "30d")
    assert left() == [3, 4]
    assert not any(folder.exists() for folder in gone)
    assert "removed 2 runs, 2." in text
    assert "with 4 dead letters" in text
    assert "kept 1: not old enough" in text
    assert "kept 1: newest of their pipelines" in text
    assert "0193aaaa-0001  nightly" in text


def test_a_dry_run_removes_nothing(capsys: Capture) -> None:
    add_run(1, 90)
    add_run(2, 40)
    text = prune(capsys, "--older-than=30d", "--dry-run")
    assert left() == [1, 2]
    assert "would remove 1 run, 1." in text
    assert "0193aaaa-0001" in text


def test_how_many_of_the_newest_stay_can_be_said(capsys: Capture) -> None:
    for number in range(1, 5):
        add_run(number, 100 - number)
    prune(capsys, "--older-than", "12h", "--keep-newest", "2")
    assert left() == [3, 4]
    prune(capsys, "--older-than", "12h", "--keep-newest", "0")
    assert left() == []


def test_failed_and_lost_runs_stay_where_asked(capsys: Capture) -> None:
    add_run(1, 90, "failed")
    add_run(2, 80, "")
    add_run(3, 70, "cancelled")
    add_run(4, 60)
    assert "kept 2: failed or lost" in prune(capsys, "--older-than", "2w", "--keep-failed")
    assert left() == [1, 2, 4]
    prune(capsys, "--older-than", "2w")
    assert left() == [4]


def test_only_runs_of_one_pipeline_go_where_asked(capsys: Capture) -> None:
    add_run(1, 90)
    add_run(2, 90, pipeline="other")
    prune(capsys, "--older-than", "30d", "--keep-newest", "0", "--pipeline", "other")
    assert left() == [1]
    assert "no pipeline 'othr'" in prune(capsys, "--older-than", "30d", "--pipeline", "othr", code=1)


def test_what_may_still_be_written_to_stays(capsys: Capture) -> None:
    add_run(1, 90, "", process=process.this_process())
    submitted = add_run(2, 90, "")
    (submitted / "heartbeat.json").write_text('{"outlives_launcher": true, "left": true}')
    add_run(3, 90)
    add_run(4, 90)
    text = prune(capsys, "--older-than", "0s", "--keep-newest", "0")
    assert left() == [1, 2]
    assert "kept 1: running" in text
    assert "kept 1: submitted" in text
    prune(capsys, "--older-than", "0s", "--keep-newest", "0", "--include-open")
    assert left() == [1]


def test_a_run_is_as_old_as_its_last_sign_of_life(capsys: Capture) -> None:
    folder = add_run(1, 90)
    end = json.loads((folder / "end.json").read_text())
    end["finished"] = datetime.datetime.now(datetime.timezone.utc).isoformat()
    (folder / "end.json").write_text(json.dumps(end))
    prune(capsys, "--older-than", "30d", "--keep-newest", "0")
    assert left() == [1]


def test_it_is_told_as_json(capsys: Capture) -> None:
    add_run(1, 90)
    add_run(2, 80, "failed")
    told = json.loads(prune(capsys, "--older-than", "30d", "--json"))
    (run,) = told["removed"]
    assert (run["id"][9:13], run["dead"]) == ("0001", 2)
    assert told["bytes"] == run["bytes"] > 1000
    assert told["kept"] == {"newest": 1}


def test_a_real_run_is_gone_as_a_whole(capsys: Capture) -> None:
    with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="real") as p:
        p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int))
    folder = pathlib.Path(".beam_obs") / Store().find("latest").folder
    size = sum(path.stat().st_size for path in folder.iterdir())
    told = json.loads(prune(capsys, "--older-than", "0s", "--keep-newest", "0", "--json"))
    assert told["bytes"] == size
    assert not folder.exists()


def test_what_cannot_be_removed_is_an_error_that_names_it(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_run(1, 90)
    add_run(2, 80)

    def refuse(self: Any, path: str) -> None:
        if "0001" in path:
            raise PermissionError("not yours")

    monkeypatch.setattr("beam_obs.runs.folder.LocalFolder.delete", refuse)
    text = prune(capsys, "--older-than", "30d", "--keep-newest", "0", code=1)
    assert "removed 1 run" in text
    assert "0193aaaa-0001-7000-8000-000000000000 (nightly): PermissionError: not yours" in text
    assert left() == [1]


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1.5d", "30 days", "", "1y"])
def test_an_age_without_a_unit_is_wrong_usage(capsys: Capture, age: str) -> None:
    assert "expected a number and a unit: 30d" in prune(capsys, "--older-than", age, code=2)


def test_an_age_must_be_given(capsys: Capture) -> None:
    add_run(1, 90)
    assert "give --older-than AGE, or --match" in prune(capsys, code=2)
    assert left() == [1]


def test_an_empty_store_has_nothing_to_remove(capsys: Capture) -> None:
    pathlib.Path(".beam_obs/runs").mkdir(parents=True)
    assert prune(capsys, "--older-than", "999999999w") == "removed nothing\n"


def test_a_link_in_a_store_is_not_followed(tmp_path: pathlib.Path, capsys: Capture) -> None:
    folder = add_run(1, 90)
    outside = tmp_path / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    inside = add_run(2, 90)
    (inside / "more").symlink_to(outside)
    (inside / "dead_letters-link.avro").symlink_to(outside / "end.json")
    text = prune(capsys, "--older-than", "1d", "--keep-newest", "0")
    assert sorted(file.name for file in outside.iterdir()) == [
        "dead_letters-parse-1.avro",
        "end.json",
        "start.json",
    ]
    assert not inside.exists()
    assert "kept 1: links to other folders" in text
