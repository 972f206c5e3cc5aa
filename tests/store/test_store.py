"""Runs are found by id, by prefix, and as the latest; on any filesystem."""

from __future__ import annotations

import json
import os
import pathlib
import stat
import subprocess
import sys

import pytest

from beam_obs.store.folder import folder_at
from beam_obs.store.store import RunNotFound, Store, StoreNotWritable
from tests.other_filesystem import other_filesystem

START = {"started": "2026-01-02T03:04:05.000000Z", "runner": "FnApiRunner", "process": None}


def add_run(store: Store, pipeline: str, run: str, end: dict[str, object] | None = None) -> None:
    folder = f"runs/{pipeline}/{run}"
    store.files.write(f"{folder}/start.json", json.dumps({"id": run, "pipeline": pipeline, **START}).encode())
    if end is not None:
        store.files.write(f"{folder}/end.json", json.dumps(end).encode())


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    store = Store(str(tmp_path / "store"))
    done = {"status": "done", "finished": "2026-01-02T03:04:06.000000Z"}
    add_run(store, "flights", "0193aaaa-1111-7000-8000-000000000001", done)
    add_run(store, "flights", "0193aaaa-2222-7000-8000-000000000002", {**done, "dead_letters": {"count": 14}})
    add_run(store, "other", "0193bbbb-3333-7000-8000-000000000003", {**done, "status": "failed"})
    return store


def test_runs_come_newest_first(store: Store) -> None:
    assert [record.id[9:13] for record in store.runs()] == ["3333", "2222", "1111"]
    assert [record.id[9:13] for record in store.runs("flights", limit=1)] == ["2222"]


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("latest", "3333"),
        ("flights@latest", "2222"),
        ("latest~1", "2222"),
        ("flights@latest~1", "1111"),
        ("flights@latest~0", "2222"),
        ("0193aaaa-1", "1111"),
        ("0193AAAA-1", "1111"),
        ("0193aaaa-1111-7000-8000-000000000001", "1111"),
        ("other@0193", "3333"),
    ],
)
def test_a_run_is_found(store: Store, selector: str, found: str) -> None:
    assert store.find(selector).id[9:13] == found


def test_an_ambiguous_prefix_lists_the_runs_it_may_mean(store: Store) -> None:
    with pytest.raises(RunNotFound, match="may be any of 2 runs") as caught:
        store.find("0193aaaa")
    assert len(caught.value.candidates) == 2
    assert "0193aaaa-1111-7000-8000-000000000001 (flights)" in str(caught.value)


@pytest.mark.parametrize(
    ("selector", "says"),
    [
        ("flights@latest~2", "pipeline 'flights' has 2"),
        ("9", "the newest are"),
        ("", "the newest are"),
        ("nobody@latest", "there are:\n  flights\n  other"),
        ("flihgts@latest", "the nearest is:\n  flights"),
        ("flights", "'flights' is a pipeline, not a run: write flights@latest"),
    ],
)
def test_an_unknown_run_is_an_error_that_says_what_there_is(store: Store, selector: str, says: str) -> None:
    with pytest.raises(RunNotFound) as caught:
        store.find(selector)
    assert says in str(caught.value)


def test_an_empty_store_has_no_latest_run(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunNotFound, match="has no runs"):
        Store(str(tmp_path)).find("latest")


def test_a_status_says_what_was_refused(store: Store) -> None:
    assert store.find("0193aaaa-2").status_text == "done, 14 dead"
    assert store.find("0193aaaa-1").status_text == "done"


def test_a_torn_file_hides_no_other_run(store: Store) -> None:
    store.files.write("runs/flights/0193cccc-4444-7000-8000-000000000004/start.json", b'{"id": ')
    assert len(store.runs()) == 4


@pytest.mark.parametrize("left", ["manifest-0123456789abcdef.json", "partitions.json"])
def test_a_run_that_lost_its_start_and_its_end_is_told_by_what_is_left(
    tmp_path: pathlib.Path, left: str
) -> None:
    folder = tmp_path / "runs" / "sums" / "0193aaaa-1111-7000-8000-000000000001"
    folder.mkdir(parents=True)
    (folder / left).write_text("{}")
    (found,) = Store(tmp_path).runs()
    assert found.status == "damaged"
    assert set(found.problems) == {"start.json is missing", "end.json is missing"}


def test_the_variable_names_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("BEAM_OBS_STORE", str(tmp_path / "from-variable"))
    assert Store().uri == str(tmp_path / "from-variable")
    assert Store(f"file://{tmp_path}/x").uri == str(tmp_path / "x")


def test_a_file_where_the_store_should_be_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(StoreNotWritable, match="--obs_store"):
        Store(str(tmp_path / "store")).check_writable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StoreNotWritable):
        Store(str(tmp_path / "store")).check_writable()


def test_a_new_file_is_written_once(tmp_path: pathlib.Path) -> None:
    folder = folder_at(str(tmp_path))
    assert folder.write_new("a/end.json", b"1")
    assert not folder.write_new("a/end.json", b"2")
    assert folder.read("a/end.json") == b"1"
    assert folder.names("a") == ["end.json"]


def test_reading_a_local_store_does_not_import_beam(store: Store) -> None:
    code = (
        "import sys, beam_obs; beam_obs.Store(sys.argv[1]).find('latest'); "
        "from beam_obs.cli.main import exit_code; "
        "assert exit_code(['show', 'latest', '--store', sys.argv[1]]) == 0; "
        "assert exit_code(['runs', '--store', sys.argv[1]]) == 0; "
        "assert exit_code(['dead-letters', 'list', 'latest', '--store', sys.argv[1]]) == 0; "
        "sys.exit('apache_beam' in sys.modules)"
    )
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, store.uri], env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode == 0


def test_a_store_on_another_filesystem_of_beam_works_the_same(tmp_path: pathlib.Path) -> None:
    from apache_beam.io.filesystems import FileSystems

    _kept = other_filesystem("elsewhere", tmp_path)
    assert FileSystems.get_scheme("elsewhere://x") == "elsewhere"
    store = Store("elsewhere://bucket/store")
    assert not store.local
    store.check_writable()
    store.files.write("manifest-1.json", b"{}")
    assert store.files.names("") == ["manifest-1.json"]
    add_run(store, "flights", "0193aaaa-1111-7000-8000-000000000001", {"status": "done"})
    add_run(store, "flights", "0193aaaa-2222-7000-8000-000000000002")
    assert store.find("flights@latest").id[9:13] == "2222"
    assert store.find("0193aaaa-1").status == "done"
    assert store.files.names("runs/flights/0193aaaa-1111-7000-8000-000000000001") == [
        "end.json",
        "start.json",
    ]
    assert not store.files.write_new("runs/flights/0193aaaa-1111-7000-8000-000000000001/end.json", b"{}")
    assert store.files.read("nothing") is None
    one, two = (f"runs/flights/0193aaaa-{at}-7000-8000-00000000000{at[0]}" for at in ("1111", "2222"))
    start = len(store.files.read(f"{two}/start.json") or b"")
    end = len(store.files.read(f"{one}/end.json") or b"")
    sizes = {file.path: file.size for file in store.files.listed("runs")}
    assert sizes == {f"{one}/start.json": start, f"{one}/end.json": end, f"{two}/start.json": start}
    store.files.delete_folder("runs/flights/0193aaaa-1111-7000-8000-000000000001", last=("start.json",))
    assert [run[9:13] for run, _ in store.ids()] == ["2222"]


@pytest.mark.parametrize("what", ["a link", "a loop", "a pipe", "a folder", "a path that leads out"])
def test_only_plain_files_below_the_root_are_opened(tmp_path: pathlib.Path, what: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    root = tmp_path / "store"
    (root / "a").mkdir(parents=True)
    at = root / "a" / "file"
    path = "a/file"
    if what == "a link":
        at.symlink_to(secret)
    elif what == "a loop":
        at.symlink_to(at)
    elif what == "a pipe":
        os.mkfifo(at)
    elif what == "a folder":
        at.mkdir()
    else:
        path = "a/../../secret"
    (found,) = folder_at(str(root)).look([path])
    assert found.content is None
    assert found.problem
    assert folder_at(str(root)).names("a") == []


def test_a_linked_folder_of_a_run_is_told_and_not_read(store: Store, tmp_path: pathlib.Path) -> None:
    folder = pathlib.Path(store.uri) / "runs" / "flights" / "0193aaaa-2222-7000-8000-000000000002"
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    record = store.find("flights@latest")
    assert record.end is None
    assert "is a link" in record.problems[0]
    with pytest.raises(OSError, match="is a link"):
        store.files.delete_folder(record.folder)
    assert (tmp_path / "elsewhere" / "end.json").exists()
