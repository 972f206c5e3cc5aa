"""A part of the tests on each other Python that the project declares: `make test-pythons`.

A Python is looked for on the PATH and among those of pyenv; one that is not there is named, and no failure.
Its environment is `.venv-python3.X`, as of `make test PYTHON=python3.X`.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

PROJECT = pathlib.Path(__file__).parent.parent
PART = [
    "tests/test_facade.py",
    "tests/test_arguments.py",
    "tests/wrapper",
    "tests/records",
    "tests/checks",
    "tests/cli/test_run.py",
    "tests/runs/test_pipeline.py",
    "tests/runs/test_step_code.py",
]
"""What Pythons differ in: the public surface, code and its frames, what is pickled, a run from end to end."""

_LOCK = "requirements-dev.lock"


def other_pythons() -> list[str]:
    """Returns the versions that pyproject.toml declares, but for that of this Python."""
    declared = re.findall(r"Python :: (3\.\d+)", (PROJECT / "pyproject.toml").read_text())
    return [version for version in declared if version != f"3.{sys.version_info.minor}"]


def interpreter(version: str) -> str | None:
    """Returns the path of a Python; None where it is not installed."""
    return next((path for path in _candidates(version) if _version_of(path) == version), None)


def _candidates(version: str) -> Iterator[str]:
    found = shutil.which(f"python{version}")
    if found:
        yield found
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv")
    yield from sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python")))


def _version_of(path: str) -> str | None:
    """Returns the version of a Python; None of one that does not start, as a shim of pyenv's may not."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def environment(path: str, version: str) -> pathlib.Path:
    """Returns the Python of an environment with what the tests need; makes it where it is missing or old."""
    folder = PROJECT / f".venv-python{version}"
    stamp, python = folder / ".installed", folder / "bin" / "python"
    needs = max((PROJECT / name).stat().st_mtime for name in (_LOCK, "pyproject.toml"))
    if not stamp.exists() or stamp.stat().st_mtime < needs:
        _uv("venv", "--allow-existing", "--seed", f"--python={path}", str(folder))
        _uv("pip", "install", f"--python={python}", f"--requirement={_LOCK}")
        _uv("pip", "install", f"--python={python}", "--no-deps", "--no-build-isolation", "--editable=.")
        stamp.touch()
    return python


def _uv(*arguments: str) -> None:
    # In a fifth of the time that pip takes.
    uv = pathlib.Path(sys.executable).parent / "uv"
    subprocess.run([uv, "--quiet", *arguments], check=True, cwd=PROJECT)


def main(arguments: list[str]) -> int:
    """Runs the tests on one Python after another; returns 1 where one of them fails."""
    told = []
    for version in other_pythons():
        path = interpreter(version)
        if path is None:
            told.append(f"Python {version}: not tested, it is neither on the PATH nor among pyenv's")
            continue
        print(f"Python {version}: {path}", flush=True)
        command = [environment(path, version), "-m", "pytest", *arguments, *PART]
        passed = subprocess.run(command, cwd=PROJECT, check=False).returncode == 0
        told.append(f"Python {version}: {'passed' if passed else 'failed'}")
    print(*told, sep="\n")
    return int(any(line.endswith("failed") for line in told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
