"""Continuous integration: every service calls the one script, on the Pythons that the project declares."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests import other_pythons
from tests.patience import wait_until

PROJECT = pathlib.Path(__file__).parent.parent
TARGETS = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
DECLARED = re.findall(r"Python :: (3\.\d+)", (PROJECT / "pyproject.toml").read_text())


def services() -> dict[str, tuple[list[list[str]], set[str]]]:
    """Returns, for each service, how it calls the script, and on which Pythons."""
    build = yaml.safe_load((PROJECT / "cloudbuild.yaml").read_text())
    assert {step["entrypoint"] for step in build["steps"]} == {".ci/run"}
    of_build = [step["args"] for step in build["steps"]], {step["name"][7:] for step in build["steps"]}
    jobs = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    calls = [step["run"].split()[1:] for job in jobs for step in job["steps"] if "run" in step]
    assert all(step["run"].startswith(".ci/run") for job in jobs for step in job["steps"] if "run" in step)
    matrix = {
        python for job in jobs for python in job.get("strategy", {}).get("matrix", {}).get("python", ())
    }
    fixed = {
        step["with"]["python-version"]
        for job in jobs
        for step in job["steps"]
        if "setup-python" in step.get("uses", "") and "matrix" not in step["with"]["python-version"]
    }
    return {"Cloud Build": of_build, "GitHub": (calls, matrix | fixed)}


@pytest.mark.parametrize("service", services())
def test_a_service_calls_the_script_with_targets_that_there_are(service: str) -> None:
    calls, _ = services()[service]
    assert calls
    assert {target for call in calls for target in call} <= TARGETS


def test_the_pythons_are_those_that_the_project_declares() -> None:
    found = {service: pythons for service, (_, pythons) in services().items()}
    assert found["GitHub"] == set(DECLARED)
    assert found["Cloud Build"] == {DECLARED[0], DECLARED[-1]}


def test_the_script_makes_what_it_is_asked_for_and_stops_at_the_first_that_fails() -> None:
    done = subprocess.run(
        [PROJECT / ".ci" / "run", "help", "no-such-target", "help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout.count("sets up") + done.stdout.count("set up") >= 1
    assert "no-such-target" in done.stderr
    parts = done.stdout.partition("time of each part:")[2].split()
    assert [part for part in parts if part.isidentifier() or "-" in part] == [
        "help",
        "no-such-target",
        "failed",
        "all",
    ]


def script_with(folder: pathlib.Path, makefile: str) -> pathlib.Path:
    """Returns the script in a folder that has another Makefile."""
    (folder / ".ci").mkdir()
    shutil.copy(PROJECT / ".ci" / "run", folder / ".ci")
    (folder / "Makefile").write_text(makefile)
    return folder / ".ci" / "run"


@pytest.mark.parametrize("heals", [True, False])
@pytest.mark.slow
def test_what_fails_is_run_once_more_by_itself_and_named(tmp_path: pathlib.Path, heals: bool) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pathlib\n"
        "runs = pathlib.Path('runs')\n"
        "def test_fails():\n"
        "    runs.open('a').write('a try\\n')\n"
        f"    assert {heals} and len(runs.read_text().splitlines()) > 1\n"
        "def test_passes():\n"
        "    runs.open('a').write('')\n"
    )
    script = script_with(tmp_path, f"test:\n\t@{sys.executable} -m pytest test_it.py $(PYTEST_ARGS)\n")

    done = subprocess.run([script, "test"], capture_output=True, text=True, check=False)

    assert (done.returncode == 0) is heals, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert (tmp_path / "runs").read_text() == "a try\na try\n"
    told = "failed at first, and passed by itself: test_it.py::test_fails"
    assert (told in done.stdout) is heals


@pytest.mark.slow
def test_nothing_is_left_running_behind_a_part_that_fails(tmp_path: pathlib.Path) -> None:
    makefile = """
engines engines-image install:
\t@true
wait:
\t@sleep 1
fails:
\t@while [ ! -s child ]; do sleep 0.1; done; false
test-engines:
\t@sleep 600 & echo $$! > child; wait
"""
    script = script_with(tmp_path, makefile)

    done = subprocess.run([script, "wait", "fails", "test-engines"], capture_output=True, check=False)

    assert done.returncode != 0
    child = int((tmp_path / "child").read_text())
    wait_until("ended, what the part had started", lambda: not pathlib.Path(f"/proc/{child}").exists())


def test_a_python_that_is_not_installed_is_named_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))

    assert other_pythons.main([]) == 0

    others = [version for version in DECLARED if version != f"3.{sys.version_info.minor}"]
    assert capsys.readouterr().out.splitlines() == [
        f"Python {version}: not tested, it is neither on the PATH nor among pyenv's" for version in others
    ]


def test_the_hooks_run_the_tools_of_the_environment() -> None:
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"].split()[0] for hook in hooks] == [
        ".venv/bin/ruff",
        ".venv/bin/ruff",
        ".venv/bin/mypy",
        ".venv/bin/python",
    ]
