"""Old runs are removed; those that someone may still need, or write to, are not."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code
from beam_obs.store import process
from beam_obs.store.folder import RemoteFolder
from beam_obs.store.leftovers import find_leftovers, remove_leftovers
from beam_obs.store.store import Store

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

    monkeypatch.setattr("beam_obs.store.folder.LocalFolder.delete", refuse)
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


def leave(path: str, days: float = 0, size: int = 10) -> pathlib.Path:
    """Leaves a file that was last written to so many days ago."""
    file = pathlib.Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    when = time.time() - days * 86_400
    os.utime(file, (when, when))
    return file


def test_unfinished_files_of_ended_runs_go_and_are_named(capsys: Capture) -> None:
    of_ended = leave(f"{add_run(1, 0.1)}/.partial-0123abcd-dead_letters-parse-1.avro", size=2048)
    of_running = leave(f"{add_run(2, 0, status='')}/.partial-0123abcd-outputs-1.avro")

    text = prune(capsys, "--older-than", "30d", "--dry-run")
    assert of_ended.exists()
    assert "would remove 1 unfinished file, 2.0 kB:" in text
    assert f"{of_ended.name}  2.0 kB" in text
    assert "remove nothing" not in text
    assert "kept 1: unfinished files" in text

    text = prune(capsys, "--older-than", "30d")
    assert "removed 1 unfinished file" in text
    assert (of_ended.exists(), of_running.exists()) == (False, True)
    assert left() == [1, 2]


def test_other_unfinished_files_go_when_they_are_old(capsys: Capture) -> None:
    add_run(1, 1)
    old = [
        leave(".beam_obs/.write-check-0123abcd", 40),
        leave(".beam_obs/.partial-0123abcd-erasing.json", 40),
        leave(".beam_obs/runs/nightly/killed/.partial-0123abcd-start.json", 40),
    ]
    young = leave(".beam_obs/.write-check-89abcdef", 0.5)
    others = [leave(".beam_obs/.partial-of-mine", 40), leave(".beam_obs/dead_letters/nightly/state/a", 40)]

    told = json.loads(prune(capsys, "--older-than", "0s", "--json"))

    assert len(told["leftovers"]) == 3
    assert {"path": ".write-check-0123abcd", "bytes": 10} in told["leftovers"]
    assert told["kept"]["unfinished"] == 1
    assert not any(file.exists() for file in old)
    assert all(file.exists() for file in (young, *others))


def test_a_folder_of_dead_letters_is_looked_through_where_it_is_named(capsys: Capture) -> None:
    add_run(1, 1)
    old = leave("refused/.partial-0123abcd-dead_letters-parse-1.avro", 2)
    kept = leave("refused/dead_letters-parse-2.avro", 2)

    text = prune(capsys, "--older-than", "1d", "--leftovers-in", "refused")

    assert old.name in text
    assert (old.exists(), kept.exists()) == (False, True)
    assert "'nowhere' is no folder" in prune(
        capsys, "--older-than", "1d", "--leftovers-in", "nowhere", code=2
    )


def test_unfinished_files_of_one_pipeline_alone_go_where_asked(capsys: Capture) -> None:
    mine = leave(f"{add_run(1, 1)}/.partial-0123abcd-outputs-1.avro")
    other = leave(f"{add_run(2, 1, pipeline='yearly')}/.partial-0123abcd-outputs-1.avro")

    prune(capsys, "--older-than", "30d", "--pipeline", "nightly")

    assert (mine.exists(), other.exists()) == (False, True)


def test_what_a_killed_process_was_writing_is_found_by_its_name(capsys: Capture) -> None:
    killed = """
import os
from beam_obs.files.new_file import NewFile
from beam_obs.store.store import Store

folder = Store().files
NewFile(".beam_obs/runs/nightly/0193aaaa-0001-7000-8000-000000000000/outputs-1.avro").file.write(b"half")
folder.delete = lambda path: os._exit(0)
Store.check_writable(type("Killed", (), {"files": folder, "uri": ""})())
"""
    add_run(1, 1)
    subprocess.run([sys.executable, "-c", killed], check=True, timeout=60)
    for path in pathlib.Path(".beam_obs").glob(".write-check-*"):
        os.utime(path, (0, 0))

    told = json.loads(prune(capsys, "--older-than", "30d", "--json"))

    names = [leftover["path"].rpartition("/")[2] for leftover in told["leftovers"]]
    assert len(names) == 2
    assert any(name.startswith(".partial-") and name.endswith("-outputs-1.avro") for name in names)
    assert any(name.startswith(".write-check-") for name in names)


def test_unfinished_files_are_found_by_a_filesystem_of_beam(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "runs/p/r"
    old = leave(str(run / ".partial-0123abcd-outputs-1.avro"), 40)
    leave(str(tmp_path / ".write-check-0123abcd"), 0.1)
    leave(str(run / "outputs-1.avro"), 40)

    found = find_leftovers(RemoteFolder(str(tmp_path)), 3600)

    assert [(leftover.path, leftover.size) for leftover in found.remove] == [
        ("runs/p/r/.partial-0123abcd-outputs-1.avro", 10)
    ]
    assert found.kept == 1
    assert remove_leftovers(found.remove) == []
    assert not old.exists()
