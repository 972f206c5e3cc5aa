"""`beam-obs site`, and what it says where it cannot write."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from beam_obs.cli.main import exit_code
from tests.conftest import ROOT

WITHOUT_EXTRA = (
    "import sys; sys.modules[sys.argv[1]] = None; from beam_obs.cli.main import main; main(sys.argv[2:])"
)


@pytest.fixture
def store() -> str:
    """A store of one run that was killed long ago."""
    folder = pathlib.Path("runs/runs/old/00000001-0000-7000-8000-000000000000")
    folder.mkdir(parents=True)
    (folder / "start.json").write_text('{"started": "2020-01-01T00:00:00.000000Z"}')
    return "runs"


def test_it_says_where_the_first_page_is(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["site", "--store", store, "--output", "public/"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("wrote ")
    assert printed.endswith(" files: public/index.html\n")
    assert "old" in pathlib.Path("public/index.html").read_text()


def test_other_files_are_left_alone(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    pathlib.Path("public").mkdir()
    pathlib.Path("public/notes.txt").write_text("mine")
    assert exit_code(["site", "--store", store, "--output", "public"]) == 1
    assert "is no site that this command wrote" in capsys.readouterr().err
    assert [path.name for path in pathlib.Path("public").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("wrong", "code", "said"),
    [
        (["--pipeline", "nobody"], 1, "no pipeline 'nobody'"),
        (["--sources", "nowhere"], 2, "there is no such folder"),
        (["--last", "-1"], 2, "--last"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_written(
    store: str, wrong: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["site", "--store", store, "--output", "public", *wrong]) == code
    assert said in capsys.readouterr().err
    assert not pathlib.Path("public").exists()


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("starlette", ["site", "--output", "public"]),
        ("jinja2", ["show", "latest", "--html", "-"]),
        ("uvicorn", ["serve", "--port", "0"]),
    ],
)
def test_the_extra_that_is_missing_is_named(store: str, missing: str, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA, missing, *command, "--store", store],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "[web]" in done.stderr
    assert "Traceback" not in done.stderr
