"""This process as a worker of runs: its memory and the rest of `WorkerNumbers`, and how the store gets them.

They are of a process, and true whatever becomes of its bundles: no bundle commits them, so that of a process
that was ended in the midst of one the last look is there. In the launcher's own process they are looked at
when somebody asks; in any other a thread looks every few seconds, and writes a file of its own into the run's
folder now and then, as long as steps of the run are set up there. Nothing is done where there is no store.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping

from beam_obs.files.whole_file import write_whole
from beam_obs.metrics.process_memory import process_memory
from beam_obs.metrics.run_of_template import begin_run_of_template
from beam_obs.records.run_context import RunContext
from beam_obs.records.versions import differing_versions
from beam_obs.records.worker_numbers import MOST_POINTS, WORKERS, WorkerNumbers

LOOK_SECONDS = 2.0
WRITE_SECONDS = 15.0
"""How often a process writes, unless its memory has changed much since."""
MUCH = 0.1
"""Of the memory that it can have."""

_LOGGER = logging.getLogger(__name__)
_LOCK = threading.Lock()
_WORKERS: dict[str, Worker] = {}
_LAUNCHED: set[str] = set()


class Worker:
    """This process as a worker of one run.

    Args:
      folder: of the run, for the file; None where the launcher is this process, and asks.
      versions: of what the run stands on, where it was launched.
    """

    def __init__(self, folder: str | None, versions: Mapping[str, str] | None = None) -> None:
        self._path = None if folder is None else f"{folder}/{WORKERS}/worker-{os.urandom(6).hex()}.json"
        self._cpu_before = time.process_time()
        self._began_at = time.monotonic()
        now = time.time_ns() // 1000
        differs = differing_versions(versions or {})
        self._numbers = WorkerNumbers(_name(), now, now, differs=differs)
        for name, (was, is_here) in differs.items():
            _LOGGER.warning("this worker has %s %s, and the launcher of its run had %s", name, is_here, was)
        self._looks = 0
        self._apart = 1
        self._users = 0
        self._wake = threading.Event()
        self._lock = threading.Lock()

    def join(self) -> None:
        """Notes that one step more is set up here."""
        with self._lock:
            self._users += 1
            if self._path is not None and self._users == 1:
                self._wake = threading.Event()
                arguments = (self._path, self._wake)
                threading.Thread(
                    target=self._write_on, args=arguments, name="beam_obs worker", daemon=True
                ).start()

    def leave(self) -> None:
        """Notes that a step is torn down; where it is the last one, what is known is written."""
        with self._lock:
            self._users -= 1
            is_last = not self._users
        if is_last and self._path is not None:
            self._wake.set()
            self._write(self._path, self.look())

    def note_failed(self) -> None:
        """Counts the bundle that fails with the exception which is being handled, once."""
        error = sys.exc_info()[1]
        if error is None or getattr(error, "beam_obs_counted", None) is self:
            return
        with self._lock:
            self._numbers = self._numbers._replace(bundles_failed=self._numbers.bundles_failed + 1)
        try:
            error.beam_obs_counted = self  # type: ignore[attr-defined]
        except AttributeError:  # it has no room for it
            return

    def look(self) -> WorkerNumbers:
        """Returns the numbers as they are now."""
        memory = process_memory()
        with self._lock:
            found = self._numbers._replace(
                at=time.time_ns() // 1000, cpu_seconds=round(time.process_time() - self._cpu_before, 3)
            )
            if memory is not None:
                found = found._replace(
                    memory_bytes=memory.used,
                    memory_limit_bytes=memory.limit,
                    most_memory_bytes=max(memory.used, found.most_memory_bytes or 0),
                    history=self._history(found.history, memory.used),
                )
            self._numbers = found
            return found

    def _history(self, before: tuple[tuple[float, int], ...], used: int) -> tuple[tuple[float, int], ...]:
        self._looks += 1
        if (self._looks - 1) % self._apart:
            return before
        if len(before) >= MOST_POINTS:
            before, self._apart = before[::2], self._apart * 2
        return (*before, (round(time.monotonic() - self._began_at, 1), used))

    def _write_on(self, path: str, ended: threading.Event) -> None:
        written, written_at = self.look(), time.monotonic()
        self._write(path, written)
        while not ended.wait(LOOK_SECONDS):
            now = self.look()
            if time.monotonic() - written_at >= WRITE_SECONDS or _has_changed(written, now):
                written, written_at = now, time.monotonic()
                self._write(path, now)

    def _write(self, path: str, numbers: WorkerNumbers) -> None:
        try:
            write_whole(path, json.dumps(numbers.to_json()).encode(), is_synced=False)
        except Exception as error:  # a store may be away for a while
            _LOGGER.info("numbers of this worker cannot be written to %s: %s", path, error)


def _has_changed(before: WorkerNumbers, now: WorkerNumbers) -> bool:
    change = abs((now.memory_bytes or 0) - (before.memory_bytes or 0))
    return change >= MUCH * (now.memory_limit_bytes or 0) > 0


def launch_here(run: str) -> None:
    """Notes that this process launches a run, and asks for the numbers itself."""
    with _LOCK:
        _LAUNCHED.add(run)


def worker_of(context: RunContext | None) -> Worker | None:
    """Returns this process as a worker of a run; None where there is no run with a store of its own."""
    if context is None or context.folder is None or not context.is_one_job:
        return None
    begin_run_of_template(context)
    with _LOCK:
        found = _WORKERS.get(context.run)
        if found is None:
            folder = None if context.run in _LAUNCHED else context.folder
            found = _WORKERS[context.run] = Worker(folder, context.versions)
    return found


def numbers_here(run: str) -> list[WorkerNumbers]:
    """Returns the numbers of this process as a worker of a run; of none where it is none."""
    with _LOCK:
        found = _WORKERS.get(run)
    return [] if found is None else [found.look()]


def forget_worker(run: str) -> None:
    """Drops what is known of a run that has ended."""
    with _LOCK:
        _WORKERS.pop(run, None)
        _LAUNCHED.discard(run)


def _name() -> str:
    id_of_runner = os.environ.get("WORKER_ID", "")
    return ":".join(filter(None, (socket.gethostname(), id_of_runner, str(os.getpid()))))
