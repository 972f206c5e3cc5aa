"""A plugin of pytest under which Beam's own tests run woven, or bare but otherwise the same.

Asked for by variables of the environment, each named ``BEAM_OBS_CONFORMANCE_`` and:

    MODE      ``bare`` or ``woven``
    RESULTS   file for results, one line of JSON each
    OPAQUE    file with a list of tests in which a step may be opaque; in all others that is an error
    SAMPLE    ``1``: of the variants of a test only the first, and one other
    SHARE     of how many tests one is taken, chosen by its name; the first always is
    EVIDENCE  ``1``: derivations and the output index are written too
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from apache_beam.runners.portability import prism_runner

from beam_obs.records.weave_report import is_error
from beam_obs.weaving.hook import weaving
from beam_obs.weaving.settings import WeaveSettings


def _asked(name: str) -> str:
    return os.environ.get(f"BEAM_OBS_CONFORMANCE_{name}", "")


def _opaque() -> frozenset[str] | None:
    if not _asked("OPAQUE"):
        return None
    with open(_asked("OPAQUE")) as file:
        return frozenset(json.load(file))


_WOVEN = _asked("MODE") == "woven"
_MAY_BE_OPAQUE = _opaque()


def _no_prism(*_: Any, **__: Any) -> Any:
    raise RuntimeError("Prism is not tried here")


def name_of(node_id: str) -> str:
    """Returns the name of a test in its module."""
    return node_id.partition("::")[2].replace("::", ".")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Runs a test with every pipeline in it woven."""
    # Without a runner's name Beam would first fetch Prism.
    prism_runner.PrismRunner.run_pipeline = _no_prism
    if not _WOVEN:
        return (yield)
    name = name_of(item.nodeid)
    strict = _MAY_BE_OPAQUE is not None and name not in _MAY_BE_OPAQUE
    with tempfile.TemporaryDirectory() as folder:
        settings = WeaveSettings(strict=strict, evidence=folder if _asked("EVIDENCE") else None)
        with weaving(settings) as reports:
            try:
                return (yield)
            finally:
                opaque = sorted({reason for report in reports for reason in report.opaque.values()})
                _note(
                    {
                        "test": name,
                        "woven": sum(len(report.woven) for report in reports),
                        "opaque": [reason for reason in opaque if not is_error(reason)],
                        "errors": [reason for reason in opaque if is_error(reason)],
                        "strict": strict,
                    }
                )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes how a test went."""
    message = report.longreprtext if report.failed else ""
    _note(
        {
            "test": name_of(report.nodeid),
            "outcome": report.outcome,
            "seconds": report.duration,
            "message": message[-3000:],
        }
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out variants, where a sample is asked for; notes what is left."""
    if _asked("SAMPLE"):
        _sample(items)
    share = int(_asked("SHARE") or 1)
    items[:] = [
        item for at, item in enumerate(items) if at == 0 or zlib.crc32(item.nodeid.encode()) % share == 0
    ]
    _note({"collected": [name_of(item.nodeid) for item in items]})


def _sample(items: list[pytest.Item]) -> None:
    classes = {item.cls for item in items if getattr(item, "cls", None) is not None}  # type: ignore[attr-defined]
    variants: dict[tuple[type, str], list[type]] = {}
    for item in items:
        found = getattr(item, "cls", None)
        if found is not None:
            variants.setdefault((_first_of(found, classes), item.name), []).append(found)
    items[:] = [item for item in items if _is_sampled(item, classes, variants)]


def _first_of(found: type, classes: set[type]) -> type:
    """Returns the class of tests that a class of tests is a variant of."""
    return [one for one in found.__mro__ if one in classes][-1]


def _is_sampled(item: pytest.Item, classes: set[type], variants: dict[tuple[type, str], list[type]]) -> bool:
    """Returns whether a test is of the first variant, or is the one of the others that stands for all."""
    found = getattr(item, "cls", None)
    if found is None or _first_of(found, classes) is found:
        return True
    first = _first_of(found, classes)
    others = [one for one in variants[first, item.name] if one is not first]
    chosen = zlib.crc32(item.name.encode()) % len(others)
    return sorted(others, key=lambda one: one.__name__)[chosen] is found


def _note(line: dict[str, Any]) -> None:
    with open(_asked("RESULTS"), "a") as file:
        file.write(json.dumps(line) + "\n")
