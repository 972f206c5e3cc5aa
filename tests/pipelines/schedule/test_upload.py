"""Putting a schedule at its destination: all of it or nothing, and what goes wrong is tried again."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from pipelines.schedule import upload as module
from pipelines.schedule.upload import ScheduleShrank, UploadFailed, upload


@pytest.fixture
def site(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


def schedule(folder: pathlib.Path, sessions: int) -> str:
    path = folder / "schedule.csv"
    path.write_text("title\n" + "".join(f"session {number}\n" for number in range(sessions)))
    return str(path)


def failing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[Any]:
    """Makes renaming fail so many times; returns what was renamed or tried."""
    rename, tried = FileSystems.rename, []

    def fail(sources: list[str], targets: list[str]) -> None:
        tried.append(sources)
        if len(tried) <= times:
            raise OSError("the disk is away")
        rename(sources, targets)

    monkeypatch.setattr(FileSystems, "rename", fail)
    return tried


def test_a_schedule_replaces_the_one_that_is_there(tmp_path: pathlib.Path, site: pathlib.Path) -> None:
    for sessions in (3, 4, 2):
        path = schedule(tmp_path, sessions)
        assert upload(path, str(site)) == str(site / "schedule.csv")
        assert (site / "schedule.csv").read_bytes() == pathlib.Path(path).read_bytes()
    assert [file.name for file in site.iterdir()] == ["schedule.csv"]


def test_what_fails_twice_works_at_the_third_attempt(
    tmp_path: pathlib.Path, site: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, times=module.RETRIES)
    upload(schedule(tmp_path, 3), str(site))
    assert len(tried) == 3
    assert [file.name for file in site.iterdir()] == ["schedule.csv"]


def test_what_fails_each_time_leaves_the_destination_as_it_was(
    tmp_path: pathlib.Path, site: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(schedule(tmp_path, 3), str(site))
    before = (site / "schedule.csv").read_bytes()
    failing(monkeypatch, times=9)
    with pytest.raises(UploadFailed, match=r"not written in 3 attempts: the disk is away.*kept at"):
        upload(schedule(tmp_path, 4), str(site))
    assert (site / "schedule.csv").read_bytes() == before
    assert [file.name for file in site.iterdir()] == ["schedule.csv"]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UploadFailed, match=r"the folder .*away is not there"):
        upload(schedule(tmp_path, 3), str(tmp_path / "away"))
    assert not (tmp_path / "away").exists()


def test_a_destination_that_is_a_file_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "site").write_text("a file")
    with pytest.raises(UploadFailed):
        upload(schedule(tmp_path, 3), str(tmp_path / "site"))
    assert (tmp_path / "site").read_text() == "a file"


@pytest.mark.parametrize(("before", "after"), [(0, 0), (10, 4), (10, 0)])
def test_a_schedule_that_shrank_is_refused_at_once(
    tmp_path: pathlib.Path, site: pathlib.Path, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    if before:
        upload(schedule(tmp_path, before), str(site))
    tried = failing(monkeypatch, times=9)
    with pytest.raises(ScheduleShrank):
        upload(schedule(tmp_path, after), str(site))
    assert tried == []


def test_half_of_the_sessions_are_enough(tmp_path: pathlib.Path, site: pathlib.Path) -> None:
    upload(schedule(tmp_path, 10), str(site))
    upload(schedule(tmp_path, 5), str(site))
    assert module.count_sessions((site / "schedule.csv").read_bytes()) == 5
