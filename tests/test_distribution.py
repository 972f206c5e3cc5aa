"""What is distributed: the wheel, built from the source distribution, has all that the package has."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from beam_obs.dataflow.template_graph import template_graph
from beam_obs.dataflow.template_settings import template_settings

PROJECT = pathlib.Path(__file__).parent.parent

_UNPICKLE = """
import sys
sys.path[:0] = sys.argv[1:3]
import beam_obs
assert beam_obs.__file__.startswith(sys.argv[1]), beam_obs.__file__
from apache_beam.internal import pickler
from apache_beam.portability.api import beam_runner_api_pb2 as api

pipeline = api.Pipeline.FromString(open(sys.argv[3], "rb").read())
loaded = 0
for one in pipeline.components.transforms.values():
    if one.spec.urn == "beam:transform:pardo:v1":
        payload = api.ParDoPayload.FromString(one.spec.payload)
        if "pickled" in payload.do_fn.urn:
            pickler.loads(payload.do_fn.payload)
            loaded += 1
print(loaded)
"""


def tracked(folder: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(filter(None, listed.stdout.split("\0")))


def built(kind: str, source: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    target.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(target)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The wheel, built from the source distribution alone."""
    if not (PROJECT / ".git").exists():
        pytest.skip("not a clone: what belongs to the project is not known")
    folder = tmp_path_factory.mktemp("distribution")
    for name in tracked("."):
        (folder / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, folder / "clone" / name)
    with tarfile.open(built("sdist", folder / "clone", folder / "dist")) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    return built("wheel", source, folder / "dist")


@pytest.mark.slow
def test_the_wheel_has_all_of_the_package_and_nothing_else(wheel: pathlib.Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == tracked("beam_obs")


def unpickled(python: str | pathlib.Path, installed: pathlib.Path, folder: pathlib.Path) -> int:
    """Returns how many functions of the flights a Python can unpickle that has beam_obs in a folder."""
    settings = template_settings("templates/flights-batch")
    made = template_graph(settings.module, settings.example_arguments)
    (folder / "pipeline.pb").write_bytes(made.pipeline)
    shutil.copytree(PROJECT / "pipelines", folder / "program" / "pipelines")
    paths = [installed, folder / "program", folder / "pipeline.pb"]
    done = subprocess.run(
        [python, "-c", _UNPICKLE, *paths],
        cwd=folder, env=_without_path(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def _without_path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.slow
def test_what_workers_are_sent_is_unpickled_with_the_wheel_alone(
    wheel: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    assert unpickled(sys.executable, tmp_path / "installed", tmp_path) > 50


@pytest.mark.slow
@pytest.mark.engines
def test_the_wheel_is_installed_into_an_empty_environment_whose_workers_unpickle(
    wheel: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    uv = pathlib.Path(sys.executable).parent / "uv"
    python = tmp_path / "venv" / "bin" / "python"
    lock = ["--constraint", "requirements-dev.lock"]
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"],
        [uv, "pip", "install", "--quiet", "--python", python, *lock, f"{wheel}[gcp]"],
        [uv, "pip", "check", "--quiet", "--python", python],
        [tmp_path / "venv" / "bin" / "beam-obs", "--version"],
    ):
        done = subprocess.run(
            [str(one) for one in command], env=_without_path(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert unpickled(python, tmp_path / "venv", tmp_path) > 50
