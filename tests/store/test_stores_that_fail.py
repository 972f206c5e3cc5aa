"""A store that is full, read-only or removed while a pipeline runs.

The pipeline's result is what it would be, and one line says what was not kept; only where a dead letter
cannot be kept the pipeline fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from beam_obs import lineage
from beam_obs.dead_letters import evidence_writer as evidence
from beam_obs.runs import watcher
from beam_obs.store import run as store_run
from beam_obs.store.store import StoreNotWritable
from tests.other_filesystem import other_filesystem

_BYTES = 1 << 20


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk needs root, and mount (util-linux)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: pathlib.Path) -> None:
    """Leaves no room on a disk."""
    with (disk / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


class Meanwhile(beam.DoFn):
    """Does something to the store between two steps."""

    def __init__(self, action: Any, disk: pathlib.Path) -> None:
        self._action = action
        self._disk = disk

    def process(self, element: Any) -> Any:
        self._action(self._disk)
        yield element


def write_protect(disk: pathlib.Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)


def remove_runs(disk: pathlib.Path) -> None:
    shutil.rmtree(disk / "runs")


def run(disk: pathlib.Path, action: Any, *texts: str) -> list[str]:
    """Runs a pipeline whose store fails between its reading and its lineage, and returns what it wrote."""
    with obs.Pipeline("FnApiRunner", PipelineOptions([f"--obs_store={disk}"]), name="fails") as p:
        numbers = (
            p
            | beam.Create(["meanwhile"])
            | beam.ParDo(Meanwhile(action, disk))
            | beam.Reshuffle()
            | beam.FlatMap(lambda _: texts)
            | "parse" >> obs.Stage(beam.Map(int))
        )
        sums = numbers | beam.Map(lambda number: (number % 2, number)) | beam.CombinePerKey(sum)
        _ = sums | beam.MapTuple(lambda key, number: f"{key} {number}") | beam.io.WriteToText("sums")
    return sorted(line for file in pathlib.Path().glob("sums*") for line in file.read_text().splitlines())


@pytest.mark.parametrize("action", [fill, write_protect])
def test_lineage_that_cannot_be_written_fails_no_pipeline(
    disk: pathlib.Path, action: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(disk, action, "1", "2", "3", "4") == ["0 6", "1 4"]

    lost, not_ended = (record for record in caplog.records if str(disk) in record.getMessage())
    assert lost.getMessage().startswith("lineage is lost, since it cannot be written to ")
    assert not_ended.getMessage().startswith("beam_obs could not write the end of run ")
    assert not_ended.exc_info is None


@pytest.mark.parametrize("action", [fill, write_protect])
def test_nothing_is_refused_without_its_dead_letter(disk: pathlib.Path, action: Any) -> None:
    with pytest.raises(Exception, match=r"dead_letters-parse.* cannot be written: .*(No space|Read-only)"):
        run(disk, action, "1", "x")


def clear(disk: pathlib.Path) -> None:
    (disk / "filler").unlink()


def count_lines(store: pathlib.Path, *meanwhile: Any) -> obs.RunRecord:
    """Runs a pipeline that counts lines, with steps between its reading and its writing."""
    pathlib.Path("lines").write_text("a\nb\n")
    with obs.Pipeline("FnApiRunner", PipelineOptions([f"--obs_store={store}"]), name="counts") as p:
        groups = p | beam.io.ReadFromText("lines") | beam.Map(lambda line: (0, line))
        for number, step in enumerate(meanwhile):
            groups |= f"step {number}" >> step
        _ = groups | beam.MapTuple(lambda key, lines: f"{key} {len(list(lines))}") | beam.io.WriteToText("n")
    return obs.Store(str(store)).runs()[0]


def test_lineage_that_was_lost_is_said_in_the_report_and_in_answers(
    disk: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full, free = beam.ParDo(Meanwhile(fill, disk)), beam.ParDo(Meanwhile(clear, disk))

    record = count_lines(disk, full, beam.GroupByKey(), beam.Reshuffle(), free)

    assert record.status == "done"
    assert record.end["lineage_lost"]["rows"] == 1
    assert "lineage lost: 1 row could not be written (No space left on device)" in capsys.readouterr().err
    certainty = lineage.why("n-00000-of-00001:1", store=obs.Store(str(disk))).certainty
    assert certainty.kind == lineage.NOT_RECORDED
    assert "is missing" in certainty.reason


def test_lineage_that_could_not_be_committed_makes_no_answer_complete(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_space(path: str, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(evidence, "write_whole", no_space)

    record = count_lines(tmp_path, beam.GroupByKey())

    assert record.status == "done"
    assert "lineage lost: its manifests could not be written" in capsys.readouterr().err
    certainty = lineage.why("n-00000-of-00001:1", store=obs.Store(str(tmp_path))).certainty
    assert certainty.kind == lineage.NOT_RECORDED


def test_a_folder_that_was_removed_meanwhile_is_said(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "store", remove_runs, "1", "2") == ["0 2", "1 1"]

    (record,) = obs.Store(str(tmp_path / "store")).runs()
    assert record.status == "done"
    assert record.end["was_removed"]
    assert "the folder of the run was removed while it ran" in capsys.readouterr().err


@pytest.mark.parametrize("action", [fill, write_protect])
def test_a_store_that_cannot_be_written_at_launch_is_refused(disk: pathlib.Path, action: Any) -> None:
    action(disk)
    with pytest.raises(StoreNotWritable, match=r"No space left|Read-only"):
        run(disk, print, "1")
    assert not list(pathlib.Path().glob("sums*"))


TRIED = threading.Event()
"""Set when counts were to be written; of the module, since a step has a copy of any other."""


def wait(number: int) -> bool:
    return TRIED.wait(60)


def double(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("failure", ["fails", "hangs"])
def test_a_store_that_takes_no_counts_and_no_signs_of_life_neither_stops_nor_holds_up_the_job(
    failure: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "LIVE_SECONDS", 0.02)
    monkeypatch.setattr(store_run, "_PATIENCE_SECONDS", 0.2)
    released = threading.Event()
    TRIED.clear()

    def before_write(path: str) -> None:
        if path.endswith("live.json"):
            TRIED.set()
            if failure == "fails":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            assert released.wait(60)

    _kept = other_filesystem(failure, tmp_path / "files", before_write)
    try:
        with obs.Pipeline(
            "FnApiRunner", PipelineOptions([f"--obs_store={failure}://store"]), name="goes-on"
        ) as p:
            numbers = p | beam.Create([1, 2]) | "wait" >> beam.Filter(wait)
            _ = numbers | "double" >> obs.Stage(beam.Map(double))
        (record,) = obs.Store(f"{failure}://store").runs()
        was_released = released.is_set()
    finally:
        released.set()

    assert (record.status, was_released) == ("done", False)
    assert [stage["out"] for stage in (record.end or {})["stages"]] == [2]
