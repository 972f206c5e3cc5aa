"""The Pub/Sub emulator, found or missed."""

from __future__ import annotations

import pathlib

import pytest

from pipelines.flights.emulator import NoEmulator, emulator_program


def program(path: pathlib.Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_it_is_found_in_the_sdk_that_gcloud_is_of(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "sdk/bin/gcloud")
    emulator = program(tmp_path / "sdk/platform/pubsub-emulator/bin/cloud-pubsub-emulator")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gcloud").symlink_to(tmp_path / "sdk/bin/gcloud")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert emulator_program() == emulator


@pytest.mark.parametrize("has_gcloud", [True, False])
def test_where_there_is_none_it_is_said_what_installs_it(
    has_gcloud: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_gcloud:
        program(tmp_path / "bin/gcloud")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(NoEmulator, match="not installed: gcloud components install pubsub-emulator"):
        emulator_program()
