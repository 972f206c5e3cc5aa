"""Where not all files may be read: what answers about lineage open, and what they say of the others."""

from __future__ import annotations

import gzip
import os
import pathlib

import pytest

from beam_obs.lineage import opened_files
from beam_obs.lineage.opened_files import FileGone, FileNotShown, present_state, read_content
from beam_obs.lineage.output_records import files_of, record_at
from beam_obs.lineage.readable_files import ReadableFiles, only_files


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a file, and beside it one that is not for everyone."""
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    (folder / "in.csv").write_text("a,b\n")
    (folder / "below" / "in.csv").write_text("c,d\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "in.csv").write_text("hidden\n")
    return folder


def test_files_below_a_root_are_read_and_no_others(root: pathlib.Path) -> None:
    with only_files(ReadableFiles([str(root)])):
        assert read_content(str(root / "in.csv")) == b"a,b\n"
        assert read_content(f"file://{root}/below/in.csv") == b"c,d\n"
        assert present_state(str(root / "in.csv")).size == 4
        for path in (
            "/etc/passwd",
            f"{root}-other/in.csv",
            f"{root}/../secret/in.csv",
            f"{root}/in.csv\0",
            "",
        ):
            with pytest.raises(FileNotShown, match="not shown: not under --sources"):
                read_content(path)
            with pytest.raises(FileNotShown, match="not shown: not under --sources"):
                present_state(path)
    assert read_content(str(root.parent / "secret" / "in.csv")) == b"hidden\n"


def test_a_link_is_followed_within_its_root_only(root: pathlib.Path) -> None:
    (root / "inside").symlink_to(root / "below")
    (root / "outside").symlink_to(root.parent / "secret")
    (root / "file").symlink_to("/etc/passwd")
    with only_files(ReadableFiles([str(root)])):
        assert read_content(str(root / "inside" / "in.csv")) == b"c,d\n"
        for path in (root / "outside" / "in.csv", root / "file"):
            with pytest.raises(FileNotShown):
                read_content(str(path))


def test_a_link_that_takes_the_place_of_a_folder_after_a_look_is_not_followed(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = os.path.realpath
    files = ReadableFiles([str(root)])

    def resolve_then_exchange(path: str) -> str:
        whole = resolve(path)
        (root / "below").rename(root / "gone")
        (root / "below").symlink_to(root.parent / "secret")
        return whole

    monkeypatch.setattr(os.path, "realpath", resolve_then_exchange)
    with only_files(files), pytest.raises(FileGone, match="cannot be opened"):
        read_content(str(root / "below" / "in.csv"))


def test_a_pipe_and_a_device_are_not_opened(root: pathlib.Path) -> None:
    os.mkfifo(root / "pipe")
    with only_files(ReadableFiles([str(root), "/dev"])):
        for path in (str(root / "pipe"), "/dev/zero", str(root)):
            with pytest.raises(FileNotShown, match="not shown"):
                read_content(path)


def test_bytes_in_a_name_lead_nowhere(root: pathlib.Path) -> None:
    with only_files(ReadableFiles([str(root)])), pytest.raises(FileGone):
        read_content(f"{root}/\\x2e\\x2e/secret/in.csv")


def test_outputs_are_found_below_a_root_only(root: pathlib.Path) -> None:
    (root / "outside").symlink_to(root.parent / "secret")
    with only_files(ReadableFiles([str(root)])):
        assert files_of(f"{root}/in") == [f"{root}/in.csv"]
        assert record_at(f"{root}/in.csv", 1).text == "a,b"
        for path in (
            "/etc/pass",
            f"{root}/outside",
            f"{root}/outside/in.csv",
            f"{root}/out*/in",
            f"{root}/..",
        ):
            with pytest.raises(FileNotShown):
                files_of(path)


def test_objects_are_read_below_a_prefix_only() -> None:
    with only_files(ReadableFiles(["gs://bucket/data"])):
        for uri in (
            "gs://bucket/database",
            "gs://other/data/in.csv",
            "s3://bucket/data/x",
            "gs://bucket/data/../x",
        ):
            with pytest.raises(FileNotShown):
                read_content(uri)
            with pytest.raises(FileNotShown):
                files_of(uri)


@pytest.mark.parametrize("extension", [".gz", ".deflate", ".zst"])
def test_a_file_that_unpacks_to_more_than_is_read_is_not_shown(
    root: pathlib.Path, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    monkeypatch.setattr(opened_files, "LARGEST_READ", 1000)
    content = bytes(5000)
    if extension == ".gz":
        packed = gzip.compress(content)
    elif extension == ".deflate":
        import zlib

        packed = zlib.compress(content)
    else:
        packed = pytest.importorskip("zstandard").compress(content)
    (root / f"in{extension}").write_bytes(packed)
    with (
        only_files(ReadableFiles([str(root)])),
        pytest.raises(FileNotShown, match="not shown: it holds more"),
    ):
        read_content(str(root / f"in{extension}"))


def test_nothing_is_read_where_there_is_no_root(root: pathlib.Path) -> None:
    with only_files(ReadableFiles()), pytest.raises(FileNotShown):
        read_content(str(root / "in.csv"))
