"""Each program of `examples/` does what its first lines say."""

from __future__ import annotations

import os
import pathlib
import shutil

import lxml.html
import nbclient
import nbformat
import pytest

from tests import programs

PROJECT = pathlib.Path(__file__).parents[2]
EXAMPLES = PROJECT / "examples"


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Runs a program in the project's folder, with a store of its own; returns what it prints."""
    monkeypatch.setenv("BEAM_OBS_STORE", str(tmp_path / "store"))

    def started(*command: str) -> str:
        done = programs.run(list(command), cwd=PROJECT)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return started


def beam_obs(*arguments: str) -> tuple[str, ...]:
    return ("-m", "beam_obs.cli", *arguments)


def program(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(EXAMPLES / name), *arguments)


def test_batch(run, tmp_path: pathlib.Path) -> None:  # type: ignore[no-untyped-def]
    output = str(tmp_path / "departures")
    assert "balanced" in run(*beam_obs("run", "examples/batch.py", output))
    assert (tmp_path / "departures").read_text().splitlines()[0].partition(": ")[2].isdigit()
    assert "flights-2013-01.csv" in run(*beam_obs("why", f"{output}:1"))


def test_stage(run) -> None:  # type: ignore[no-untyped-def]
    printed = run(*program("stage.py"))
    assert "{'city': 'Lima', 'temperature': 19.0}" in printed
    assert "Cairo,warm" in run(*beam_obs("dead-letters", "list", "latest"))


@pytest.mark.slow
def test_check(run, tmp_path: pathlib.Path) -> None:  # type: ignore[no-untyped-def]
    printed = run(*program("check.py", str(tmp_path / "flights")))
    written = sum(file.read_text().count("\n") for file in tmp_path.glob("flights*.jsonl"))
    assert written == 27_004 - 521
    assert "521)" in printed


def test_composite(run) -> None:  # type: ignore[no-untyped-def]
    printed = run(*program("composite.py"))
    assert "('tea', 725)" in printed
    assert "revenue/Revenue/parse: json.decoder.JSONDecodeError: not JSON" in printed
    assert "KeyError" in printed
    assert "not balanced" not in printed


def test_streaming(run) -> None:  # type: ignore[no-untyped-def]
    printed = run(*program("streaming.py"))
    assert "0 7\n60 5\n" in printed
    assert "poison" in printed


@pytest.mark.slow
def test_notebook(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    shutil.copy(EXAMPLES / "notebook.ipynb", tmp_path)
    notebook = nbformat.read(tmp_path / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [
        output["data"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output["output_type"] == "execute_result"
    ]
    letters, told, *of_html = shown[-5:]
    assert "'Cairo,warm'" in letters["text/plain"]
    assert "'complete'" in told["text/plain"]
    runs, fate, answer = (lxml.html.fragment_fromstring(data["text/html"]) for data in of_html)
    assert "done, 1 dead" in [cell.text_content() for cell in runs.iter("td")]
    assert any("parse: ValueError" in line.text_content() for line in fate.iter("summary"))
    assert answer.xpath("count(.//details)") > 2
    assert "Oslo,-4.5" in answer.text_content()
    assert os.path.isdir(tmp_path / "notebook-store")


def test_every_example_has_a_test() -> None:
    names = {path.stem for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    assert {f"test_{name}" for name in names} <= set(globals())
