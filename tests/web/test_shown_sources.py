"""Pages over a store that someone else wrote show no file but those below the roots that a person named."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
from click.testing import CliRunner

from beam_obs.cli.main import beam_obs as command_line
from beam_obs.records.origin import Partition
from tests.lineage.evidence import WrittenRun
from tests.web.conftest import serving

_SECRET = b"first secret\nsecond secret\nthird secret\n"


def hostile_run(folder: pathlib.Path, uri: str, content: bytes) -> Partition:
    """Writes a run that says that it read lines of a file; returns the file as it has it.

    Args:
      folder: the store is `store` in it.
      uri: of the file, as the run says.
      content: of the file, by which the version fits.
    """
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    source = Partition("in.txt", f"{len(content)}-{digest}")
    run = WrittenRun(folder / "store")
    run.partitions = [source]
    run.write("write", source.origin(0), content.split(b"\n")[0])
    run.aggregate("total", "all", [source.origin(0)])
    run.finish()
    (file,) = folder.rglob("partitions.json")
    told = json.loads(file.read_text())
    told["partitions"][0]["uri"] = uri
    file.write_text(json.dumps(told))
    end = next(folder.rglob("end.json"))
    sinks = [{"label": "write", "uri": uri}]
    kept = json.loads(end.read_text())
    kept["lineage"]["sinks"] = sinks
    kept["outputs"] = [{"label": "write", "uri": uri, "files": [{"uri": uri, "size": len(content)}]}]
    end.write_text(json.dumps(kept))
    return source


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder whose `data` may be shown, beside a file that may not."""
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.txt").write_bytes(_SECRET)
    (tmp_path / "data" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "data" / "folder").symlink_to(tmp_path)
    return tmp_path


def _texts(folder: pathlib.Path, uri: str, content: bytes = _SECRET) -> str:
    """Returns what pages say that lead to a file: of its origin, of its place, of its prefix."""
    source = hostile_run(folder, uri, content)
    places = [f"{uri}:1", f"{uri}@0", uri[:-1], uri]
    with serving(folder, sources=[str(folder / "data")]) as served:
        answers = [served.get(f"/records/{source.origin(0).hex()}")]
        answers += [served.get(f"/records?at={urllib.parse.quote(place)}") for place in places]
    assert all(answer.status in (200, 404) for answer in answers), [answer.text for answer in answers]
    return "\n".join(answer.text for answer in answers)


@pytest.mark.parametrize(
    "uri",
    [
        "{folder}/secret.txt",
        "file://{folder}/secret.txt",
        "{folder}/data/link.txt",
        "{folder}/data/folder/secret.txt",
        "{folder}/data/../secret.txt",
        "{folder}/data/\\x2e\\x2e/secret.txt",
        "../secret.txt",
    ],
)
def test_a_file_outside_of_the_roots_is_not_shown(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.chdir(folder / "data")
    text = _texts(folder, uri.format(folder=folder))
    assert "first secret" not in text
    assert "second secret" not in text
    assert "not shown: not under --sources" in text or "there is no such file" in text


def test_a_file_of_the_system_is_not_shown_though_its_digest_fits(folder: pathlib.Path) -> None:
    content = pathlib.Path("/etc/passwd").read_bytes()
    text = _texts(folder, "/etc/passwd", content)
    assert content.split(b"\n")[0].decode() not in text
    assert "not shown: not under --sources" in text


def test_a_pipe_and_a_device_below_a_root_are_not_opened(folder: pathlib.Path) -> None:
    os.mkfifo(folder / "data" / "pipe.txt")
    assert "it is no regular file" in _texts(folder, str(folder / "data" / "pipe.txt"))


def test_a_device_is_not_opened(folder: pathlib.Path) -> None:
    assert "not shown: not under --sources" in _texts(folder, "/dev/zero")


def test_a_regular_file_below_a_root_is_shown(folder: pathlib.Path) -> None:
    (folder / "data" / "in.txt").write_bytes(_SECRET)
    assert "second secret" in _texts(folder, str(folder / "data" / "in.txt"))


def test_what_a_place_is_called_is_shown_as_text(folder: pathlib.Path) -> None:
    text = _texts(folder, f"{folder}/data/<script>alert(1)</script>\x1b[31m.txt")
    assert "<script>alert" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("options", "is_shown"),
    [
        ([], True),
        (["--sources", "data"], False),
        (["--sources", "data", "--sources", "."], True),
        (["--host", "0.0.0.0", "--token", "t"], False),
    ],
)
@pytest.mark.slow
def test_the_working_folder_is_shown_by_default_on_this_machine_only(
    folder: pathlib.Path, options: list[str], is_shown: bool
) -> None:
    source = hostile_run(folder, str(folder / "secret.txt"), _SECRET)
    command = [sys.executable, "-m", "beam_obs.cli", "serve", "--store", "store", "--port", "0", *options]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)/", process.stdout.readline())
            assert found is not None
            address = f"http://127.0.0.1:{found[1]}/records/{source.origin(0).hex()}"
            asked = urllib.request.Request(address, headers={"Authorization": "Bearer t"})
            with urllib.request.urlopen(asked, timeout=60) as answer:
                text = answer.read().decode()
        finally:
            process.terminate()
    assert ("first secret" in text) is is_shown
    assert ("not shown: not under --sources" in text) is not is_shown


def test_a_root_that_is_not_there_is_said(folder: pathlib.Path) -> None:
    hostile_run(folder, "in.txt", _SECRET)
    result = CliRunner().invoke(
        command_line, ["serve", "--store", str(folder / "store"), "--sources", str(folder / "nowhere")]
    )
    assert result.exit_code == 2
    assert "there is no such folder" in result.output


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": "1"}
