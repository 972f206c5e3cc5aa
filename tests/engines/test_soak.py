"""The soak of `make soak`, for less than a minute and at four times its rate: what leaks shows as well."""

from __future__ import annotations

import pathlib

import pytest

from benchmarks.soak import GROWTH_PERCENT, soak
from tests.engines.prism import prism_options

pytestmark = pytest.mark.engines

SECONDS = 45
RATE = 400


def test_a_stream_with_faults_loses_nothing_and_its_memory_stays_flat(tmp_path: pathlib.Path) -> None:
    soaked = soak(SECONDS, RATE, tmp_path, prism_options())

    assert soaked.end["status"] == "done"
    assert soaked.has_lost_none
    assert soaked.growth_percent <= GROWTH_PERCENT
    assert soaked.given > SECONDS * RATE / 2
