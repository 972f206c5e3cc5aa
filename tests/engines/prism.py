"""Prism, Beam's portable runner in Go, as `make engines` installs it."""

from __future__ import annotations

import pytest

from tests.engines.install import PRISM, program


def prism_options() -> list[str]:
    """Returns the options of a pipeline that runs on Prism; skips the test where there is none."""
    found = program(PRISM, "prism")
    if found is None:
        pytest.skip("Prism is not installed: make engines (it needs Go)")
    return [f"--prism_location={found}", "--environment_type=LOOPBACK"]
