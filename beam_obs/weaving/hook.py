"""Where Beam asks for a pipeline's portable form, it gets the woven one.

Runners ask for it inside `run_pipeline`. The bundle-based direct runner, which runs streams and
TestStream, never asks: it gets a pipeline that was woven and read back.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import apache_beam as beam
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

from beam_obs.records.made_at import calling_frames
from beam_obs.records.weave_report import CANNOT_BE_READ, WeaveReport, failed
from beam_obs.weaving.own_pipeline import read_pipeline
from beam_obs.weaving.portable_graph import keep_types
from beam_obs.weaving.settings import WeaveSettings
from beam_obs.weaving.weave import is_woven, weave


class Weaving(threading.local):
    """The weaving that is under way in this thread: how, and what came of it."""

    def __init__(self) -> None:
        self.settings: WeaveSettings | None = None
        self.reports: list[WeaveReport] = []
        self.is_asking = False


_RUNS = "run_pipeline"
_RUNS_OTHERS = "apache_beam.runners.interactive."
WHOLE_PIPELINE = "the whole pipeline"
_LOGGER = logging.getLogger(__name__)
_WEAVING = Weaving()
_LOCK = threading.Lock()
_USERS = 0
_TO_RUNNER_API = beam.Pipeline.to_runner_api
_RUN_BUNDLES = BundleBasedDirectRunner.run_pipeline


@contextlib.contextmanager
def weaving(settings: WeaveSettings | None = None) -> Iterator[list[WeaveReport]]:
    """While it lasts, every pipeline that this thread runs is woven; gives the list of reports.

    Args:
      settings: how to weave.
    """
    before = _WEAVING.settings, _WEAVING.reports
    _WEAVING.settings, _WEAVING.reports = settings or WeaveSettings(), []
    _install()
    try:
        yield _WEAVING.reports
    finally:
        _uninstall()
        _WEAVING.settings, _WEAVING.reports = before


def _install() -> None:
    global _USERS
    with _LOCK:
        _USERS += 1
        if _USERS == 1:
            beam.Pipeline.to_runner_api = _to_runner_api
            BundleBasedDirectRunner.run_pipeline = _run_bundles


def _uninstall() -> None:
    global _USERS
    with _LOCK:
        _USERS -= 1
        if _USERS == 0:
            beam.Pipeline.to_runner_api = _TO_RUNNER_API
            BundleBasedDirectRunner.run_pipeline = _RUN_BUNDLES


def _to_runner_api(
    pipeline: Any,
    return_context: bool = False,
    context: Any = None,
    use_fake_coders: bool = False,
    default_environment: Any = None,
) -> Any:
    found = _TO_RUNNER_API(pipeline, return_context, context, use_fake_coders, default_environment)
    if _WEAVING.settings is None or _WEAVING.is_asking:
        return found
    # Dataflow's runner asks for the context too, and keeps it without looking at it.
    proto, made_with = found if return_context else (found, None)
    if not use_fake_coders and _is_to_be_run(pipeline):
        proto = _woven(proto)
    elif use_fake_coders or _running_frame() is not None:
        keep_types(proto)  # a runner may read it back, and run what it made of it
    return (proto, made_with) if return_context else proto


def _is_to_be_run(pipeline: Any) -> bool:
    """Returns whether a runner asks for the pipeline that it is to run.

    Not so where a person looks at it, and where a runner makes pipelines of its own and has others run them:
    the interactive one takes a pipeline apart and asks for its form, and for those of copies, many times.
    """
    frame = _running_frame()
    if frame is None:
        return False
    runner, given = (frame.f_locals.get(name) for name in frame.f_code.co_varnames[:2])
    return given is pipeline and not type(runner).__module__.startswith(_RUNS_OTHERS)


def _running_frame() -> FrameType | None:
    """Returns the innermost frame in which a runner runs a pipeline; None where a person asks."""
    return next((frame for frame in calling_frames() if frame.f_code.co_name == _RUNS), None)


def _woven(proto: Any, **changes: Any) -> Any:
    """Returns the woven pipeline; the given one where the weave fails, which must not fail the job."""
    assert _WEAVING.settings is not None
    if is_woven(proto):
        return proto
    settings = dataclasses.replace(_WEAVING.settings, **changes)
    _WEAVING.is_asking = True
    try:
        woven = weave(proto, settings)
    except Exception as error:
        if settings.strict:
            raise
        _note_failure(settings, failed(error), error)
        return proto
    finally:
        _WEAVING.is_asking = False
    if settings.carries_origins:
        _WEAVING.reports.append(woven.report)
    return woven.proto


def _note_failure(settings: WeaveSettings, reason: str, error: Exception) -> None:
    if settings.carries_origins:
        _LOGGER.warning("the pipeline runs without lineage: %s", error, exc_info=True)
        _WEAVING.reports.append(WeaveReport(opaque={WHOLE_PIPELINE: reason}))
    else:
        _LOGGER.warning("gauges and summaries of the pipeline are not kept: %s", error, exc_info=True)


def _run_bundles(runner: Any, pipeline: Any, options: Any) -> Any:
    if _WEAVING.settings is not None:
        changes = {"shuffles_manifests": False, "splits_reads": False, "fuses_steps": False}
        woven = _woven(_TO_RUNNER_API(pipeline), **changes)
        pipeline = _read_back(woven, pipeline, options)
    return _RUN_BUNDLES(runner, pipeline, options)


def _read_back(proto: Any, pipeline: Any, options: Any) -> Any:
    """Returns the woven pipeline as an object; the given one where Beam cannot read it, which must not fail
    the job: a coder that tells no type is enough."""
    assert _WEAVING.settings is not None
    try:
        return read_pipeline(proto, pipeline.runner, options)
    except Exception as error:
        if _WEAVING.settings.strict:
            raise
        _note_failure(_WEAVING.settings, f"{CANNOT_BE_READ}: {type(error).__name__}: {error}", error)
        return pipeline
