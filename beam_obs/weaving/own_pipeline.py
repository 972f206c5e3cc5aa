"""Pipelines that the weave makes for itself: making one changes nothing of the process it is made in.

Beam sets the options of its filesystems, its pickler and its registry of coders anew for each pipeline that
is made, for the whole process, and gives each a folder for temporary files that only a run takes away.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.coders import typecoders
from apache_beam.internal import pickler
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

_VERSION = "update_compatibility_version"


def own_pipeline() -> Any:
    """Returns an empty pipeline, in which steps are built that are moved elsewhere."""
    # Where it is dill already, this name changes nothing, and Beam checks no version of it.
    library = pickler.USE_DILL_UNSAFE if pickler.is_currently_dill() else pickler.USE_CLOUDPICKLE
    options = PipelineOptions([f"--pickle_library={library}"])
    return _made(lambda: beam.Pipeline("BundleBasedDirectRunner", options))


def read_pipeline(proto: Any, runner: Any, options: PipelineOptions) -> Any:
    """Returns a pipeline as an object.

    Args:
      proto: its portable form.
      runner: of the pipeline.
      options: of the pipeline that it was made from, which are in force.

    Raises:
      Exception: whatever Beam raises where it cannot read it.
    """
    return _made(lambda: beam.Pipeline.from_runner_api(proto, runner, options))


def _made(make: Callable[[], Any]) -> Any:
    with _settings_kept():
        pipeline = make()
    shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)
    return pipeline


@contextlib.contextmanager
def _settings_kept() -> Iterator[None]:
    options, version = FileSystems._pipeline_options, getattr(typecoders.registry, _VERSION, None)
    try:
        yield
    finally:
        FileSystems.set_options(options)
        setattr(typecoders.registry, _VERSION, version)
