"""The commands of docs/deploy-flink.md, one after another, on the cluster that they start."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

from tests.engines.flink.cluster import what_is_missing

pytestmark = [pytest.mark.engines, pytest.mark.slow]

PROJECT = pathlib.Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "deploy-flink.md"
BIN = pathlib.Path(sys.executable).parent
# It takes the environment of this process and the engines that are there; in MAKEFLAGS it ignores --old-file.
MAKE = (
    f"make() {{ command make BIN={BIN} STAMP={sys.executable} --old-file={sys.executable} --old-file=engines "
    '"$@"; }; '
)


def commands(folder: pathlib.Path) -> list[str]:
    """Returns the commands of the page, with a folder in place of /tmp."""
    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line.removeprefix("$ ").replace("/tmp", str(folder)) for line in block.splitlines()]


def run(command: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "BEAM_OBS_FLINK": str(folder / "cluster"),
    }
    return subprocess.run(
        ["bash", "-c", MAKE + command],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_the_commands_of_the_page_run(tmp_path: pathlib.Path) -> None:
    if missing := what_is_missing():
        pytest.skip(missing)
    *steps, down = commands(tmp_path)
    assert (steps[0], down) == ("make flink-up", "make flink-down")
    printed = {}
    try:
        for command in steps:
            done = run(command, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            printed[command.split(" --")[0]] = done.stdout
    finally:
        ended = run(down, tmp_path)
    assert "the cluster is down" in ended.stdout
    assert "--runner=PortableRunner --job_endpoint=" in printed["make flink-up"]
    report = printed["beam-obs show flights@latest"]
    assert "flights  done" in report
    assert "balanced" in report
    assert not (tmp_path / "cluster").exists()
