"""A plugin of pytest under which Beam's own tests run woven, or bare but otherwise the same.

`BEAM_OBS_CONFORMANCE` is ``bare``, ``woven`` or ``strict``. What the weave said of each pipeline goes to
the file that `BEAM_OBS_CONFORMANCE_REPORT` names, one line of JSON each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from apache_beam.runners.portability import prism_runner

from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings

_MODE = os.environ.get("BEAM_OBS_CONFORMANCE", "bare")
_REPORT = os.environ.get("BEAM_OBS_CONFORMANCE_REPORT", "")


def _no_prism(*_: Any, **__: Any) -> Any:
    raise RuntimeError("Prism is not tried here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Runs a test with every pipeline in it woven."""
    # Without a runner's name Beam would first fetch Prism.
    prism_runner.PrismRunner.run_pipeline = _no_prism
    if _MODE == "bare":
        return (yield)
    with weaving(WeaveSettings(strict=_MODE == "strict")) as reports:
        try:
            return (yield)
        finally:
            if _REPORT:
                with open(_REPORT, "a") as file:
                    for report in reports:
                        line = {"test": item.nodeid, "woven": len(report.woven), "opaque": report.opaque}
                        file.write(json.dumps(line) + "\n")
