"""New files have their names when they are whole and on the disk."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import pytest

from beam_obs.files import new_file
from beam_obs.files.new_file import NewFile, write_new_file


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_it_counts(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noting(what: str, function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object) -> None:
            done.append(what)
            function(*arguments)

        return call

    monkeypatch.setattr(new_file, "sync", noting("sync", os.fsync))
    monkeypatch.setattr(os, "replace", noting("name", os.replace))

    write_new_file(str(tmp_path / "file"), b"content")

    assert done == ["sync", "name", "sync"]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_file_is_not_replaced_unless_asked(tmp_path: pathlib.Path) -> None:
    assert write_new_file(str(tmp_path / "file"), b"first", replaces=False)
    assert not write_new_file(str(tmp_path / "file"), b"second", replaces=False)
    assert (tmp_path / "file").read_bytes() == b"first"
    assert write_new_file(str(tmp_path / "file"), b"third")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"third"


def test_what_is_discarded_leaves_nothing(tmp_path: pathlib.Path) -> None:
    new = NewFile(str(tmp_path / "folder" / "file"))
    new.file.write(b"half")
    new.discard()
    assert os.listdir(tmp_path / "folder") == []
