"""The run that a test means: by its result, or as the newest of a store."""

from __future__ import annotations

import os
from typing import Any

from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def find_run(actual: Any) -> tuple[Store, RunRecord]:
    """Returns the store and the run, as the store has it now.

    Args:
      actual: the result of an `obs.Pipeline`, a `Store` or a store's folder.

    Raises:
      TypeError: it is none of these, or the result of a pipeline that was not observed.
    """
    run = getattr(actual, "beam_obs_run", None)
    if run is not None:
        return run.store, run.store.find(f"{run.record.pipeline}@{run.record.id}")
    if isinstance(actual, (str, os.PathLike)):
        actual = Store(os.fspath(actual))
    if isinstance(actual, Store):
        return actual, actual.find("latest")
    raise TypeError(
        f"{type(actual).__name__} tells of no run in a store: give the result of an obs.Pipeline, a Store or "
        "its folder. Of a beam.Pipeline, give the PCollection of with_dead_letters(), or the folder of an "
        "obs.DeadLetters"
    )
