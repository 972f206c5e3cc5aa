"""Google's Pub/Sub emulator; a test that needs it is skipped where there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from pipelines.flights import emulator


def emulator_program() -> str:
    """Returns the emulator's script; skips the test where there is none."""
    try:
        return emulator.emulator_program()
    except emulator.NoEmulator as missing:
        pytest.skip(str(missing))


@contextlib.contextmanager
def running_emulator() -> Iterator[str]:
    """Gives host and port of an emulator that is ready."""
    emulator_program()
    with emulator.running_emulator() as address:
        yield address
