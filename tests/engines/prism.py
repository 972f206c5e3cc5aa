"""Prism, Beam's portable runner in Go, as `make engines` installs it."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

_INSTALLED = pathlib.Path(__file__).parents[2] / ".engines" / "bin" / "prism"


def prism_options() -> list[str]:
    """Returns the options of a pipeline that runs on Prism; skips the test where there is none."""
    found = shutil.which("prism", path=f"{_INSTALLED.parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip("Prism is not installed: make engines (it needs Go)")
    return [f"--prism_location={found}", "--environment_type=LOOPBACK"]
