"""The soak of `make soak`, for five minutes of its hour."""

from __future__ import annotations

import pathlib

import pytest

from benchmarks.soak import GROWTH_PERCENT, soak
from tests.engines.prism import prism_options

pytestmark = [pytest.mark.engines, pytest.mark.soak]

SECONDS = 300
RATE = 100


def test_a_stream_with_faults_loses_nothing_and_its_memory_stays_flat(tmp_path: pathlib.Path) -> None:
    # On a busy machine the stream may have too few in that time to tell.
    for seconds in (SECONDS, 4 * SECONDS):
        (folder := tmp_path / f"{seconds}").mkdir()
        soaked = soak(seconds, RATE, folder, prism_options())
        if soaked.given > SECONDS * RATE / 2:
            break

    assert soaked.end["status"] == "done"
    assert soaked.wrong == []
    assert soaked.growth_percent <= GROWTH_PERCENT
    assert soaked.given > SECONDS * RATE / 2
