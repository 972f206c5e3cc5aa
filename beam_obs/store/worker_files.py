"""The numbers of the worker processes of a run, from the files that they write beside its evidence."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from beam_obs.records.worker_numbers import WORKERS
from beam_obs.store.form import fit, parse_object
from beam_obs.store.run_record_forms import WORKER_FORM
from beam_obs.store.store import Store

_LOGGER = logging.getLogger(__name__)

MOST_FILES = 1000
"""Files that are read of a run; of a larger fleet the rest is left out."""


def read_workers(store: Store, folder: str) -> list[dict[str, Any]]:
    """Returns what the files tell, in the form of `WorkerNumbers`; a damaged one is left out.

    Nothing is told where the store is away: no run has to wait for that.

    Args:
      store: the store.
      folder: the run's folder, relative to the store.
    """
    inside = f"{folder}/{WORKERS}"
    try:
        names = [name for name in store.files.names(inside) if name.endswith(".json")][:MOST_FILES]
        files = store.files.look([f"{inside}/{name}" for name in names])
    except Exception as error:  # filesystems raise errors of their own
        _LOGGER.info("numbers of workers cannot be read from %s: %s", inside, error)
        return []
    told = []
    for found in files:
        with contextlib.suppress(ValueError):
            problems: list[str] = []
            worker = fit(parse_object(found.content or b""), WORKER_FORM, "", problems)
            if not problems:
                told.append(worker)
    return told
