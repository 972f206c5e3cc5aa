"""`beam-obs graph` on runs that took place."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import apache_beam as beam
import pytest

import beam_obs as obs
from beam_obs.cli.main import exit_code

ROOT = pathlib.Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def check(number: int) -> int:
    if number % 5 == 0:
        raise ValueError(f"a multiple of five: {number}")
    return number


@pytest.fixture(scope="module")
def where_it_ran(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("numbers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="numbers") as p:
            checked = p | "count up" >> beam.Create(range(100)) | "check" >> obs.Stage(beam.Map(check))
            (
                checked
                | "even" >> obs.Stage(beam.Filter(lambda number: number % 2 == 0))
                | "sum" >> beam.CombineGlobally(sum)
            )
            checked | "odd" >> beam.Filter(lambda number: number % 2 == 1)
    return folder


@pytest.fixture
def run(where_it_ran: pathlib.Path) -> str:
    """A store of the test's own with a run of two branches, which refused 20 of 100 records."""
    shutil.copytree(where_it_ran, ".", dirs_exist_ok=True)
    return obs.Store().find("latest").id


def groups(picture: str, name: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(picture)
    return [group for group in root.iter(f"{SVG}g") if name in group.get("class", "").split()]


def test_a_picture_is_written_with_what_the_run_counted(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["graph", run, "--output", "g.svg"]) == 0
    assert capsys.readouterr().out == "wrote g.svg\n"
    picture = pathlib.Path("g.svg").read_text(encoding="utf-8")
    numbers = {
        group.get("data-step"): (group.get("data-dead"), group.get("data-filtered"))
        for group in groups(picture, "step")
    }
    assert numbers == {
        "count up": ("0", "0"),
        "check": ("20", "0"),
        "even": ("0", "40"),
        "sum": ("0", "0"),
        "odd": ("0", "0"),
    }
    edges = {(group.get("data-from"), group.get("data-to")): group for group in groups(picture, "edge")}
    assert {pair: group.get("data-count") for pair, group in edges.items()} == {
        ("count up", "check"): "100",
        ("check", "even"): "80",
        ("even", "sum"): "40",
        ("check", "odd"): "80",
    }


@pytest.mark.parametrize("selector", ["latest", "numbers@latest"])
def test_a_picture_goes_to_standard_output(
    run: str, selector: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["graph", selector, "--output", "-"]) == 0
    assert f"run {run}" in capsys.readouterr().out


def test_another_kind_of_picture_is_refused(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["graph", run, "--output", "steps.png"]) == 2
    assert "the picture is SVG, no png: write --output steps.svg" in capsys.readouterr().err
    assert not pathlib.Path("steps.png").exists()


def test_no_such_run_is_said_in_one_line(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["graph", "nobody@latest", "--output", "g.svg"]) == 1
    assert "no pipeline 'nobody'" in capsys.readouterr().err
    assert not pathlib.Path("g.svg").exists()


def test_a_run_that_has_not_ended_is_said_to_have_no_steps(capsys: pytest.CaptureFixture[str]) -> None:
    folder = pathlib.Path(".beam_obs/runs/old/00000001-0000-7000-8000-000000000000")
    folder.mkdir(parents=True)
    (folder / "start.json").write_text('{"started": "2020-01-01T00:00:00.000000Z"}')
    assert exit_code(["graph", "latest", "--output", "-"]) == 1
    assert "no steps are known of run 00000001" in capsys.readouterr().err


def test_a_picture_is_drawn_without_apache_beam(run: str) -> None:
    code = (
        "import sys; from beam_obs.cli.main import exit_code; "
        "assert exit_code(['graph', 'latest', '--output', 'g.svg']) == 0; "
        "sys.exit('apache_beam' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
