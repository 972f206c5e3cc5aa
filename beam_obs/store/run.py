"""One run in a store: its start, its signs of life and counts, and its end, which is written exactly once."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from beam_obs.files.patience import patiently
from beam_obs.records.manifest import content_hash
from beam_obs.records.run_context import RunContext
from beam_obs.records.shown_in_notebooks import ShownInNotebooks
from beam_obs.records.worker_numbers import merged_workers
from beam_obs.store.process import this_process
from beam_obs.store.run_record import (
    END,
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    LIVE,
    PIPELINE,
    START,
    RunRecord,
    now_text,
)
from beam_obs.store.run_record_forms import FILES
from beam_obs.store.sealing import SEALED, encode_record, seal
from beam_obs.store.store import Store, StoreNotWritable
from beam_obs.store.worker_files import read_workers

_PATIENCE_SECONDS = 5.0
"""How long the end waits for a write that is under way."""


class Run(ShownInNotebooks):
    """A run that this process launches. `start.json` is written when it is made.

    Args:
      store: where it is kept.
      pipeline: name of the pipeline.
      id: id of the run.
      start: content of ``start.json`` but for id, pipeline, time and process.
      outlives_launcher: whether the job would go on without this process.
    """

    def __init__(
        self, store: Store, pipeline: str, id: str, start: dict[str, Any], outlives_launcher: bool
    ) -> None:
        self.store = store
        self.start = {
            "id": id,
            "pipeline": pipeline,
            "started": now_text(),
            **start,
            "process": this_process(),
            SEALED: True,
        }
        self.record = RunRecord(pipeline, id, self.start)
        self.outlives_launcher = outlives_launcher
        self.job_id: str | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._has_left = False
        self._beats_now = False
        self._waiting: dict[str, dict[str, Any]] = {}
        self._workers_here: Iterable[dict[str, Any]] = ()
        self.workers_elsewhere: list[dict[str, Any]] = []
        """Numbers of workers in other processes, as of the last time that ``live.json`` was written."""
        self._pid = os.getpid()
        try:
            self._beat()  # first: who finds a run without a heartbeat takes its end for lost
            store.files.write(f"{self.record.folder}/{START}", self._start_content)
        except Exception as error:
            raise StoreNotWritable(store.uri, str(error)) from error
        self._thread = threading.Thread(target=self._write_on, name="beam_obs heartbeat", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the end was written, or is being written."""
        return self._ended.is_set()

    @property
    def is_mine(self) -> bool:
        """Whether this process launched the run, and was not forked from the one that did."""
        return os.getpid() == self._pid

    def submitted(self, job_id: str | None) -> None:
        """Notes the id that the runner gave the job."""
        self.job_id = job_id
        if job_id is not None:
            self._beats_now = True
            self._wake.set()

    def keep_live(self, content: dict[str, Any], here: Iterable[dict[str, Any]] = ()) -> None:
        """Takes what ``live.json`` is to say; it is written soon, or never where the store is away.

        Args:
          content: but for the workers.
          here: workers that write no file of their own.
        """
        self._workers_here = here
        self._write_soon(LIVE, content)

    def keep_pipeline(self, content: dict[str, Any]) -> None:
        """Takes what ``pipeline.json`` is to say, for whoever writes the end in place of this process."""
        self._write_soon(PIPELINE, content)

    def _write_soon(self, name: str, content: dict[str, Any]) -> None:
        with self._lock:
            self._waiting[name] = content
        self._wake.set()

    def left(self) -> None:
        """Notes that this process ends while the job goes on; waits a while for it to be written."""
        if self._claim(has_left=True):
            self._end_writing()

    def claim_end(self) -> bool:
        """Returns True to the one caller that has to write the end."""
        return self._claim(has_left=False)

    def _claim(self, has_left: bool) -> bool:
        with self._lock:
            if self._ended.is_set() or not self.is_mine:
                return False
            self._has_left = has_left  # before the other, which is looked at first
            self._ended.set()
            return True

    def _end_writing(self) -> None:
        self._wake.set()
        self._thread.join(_PATIENCE_SECONDS)

    def wait_for_store(self, seconds: float) -> None:
        """Waits for a store that is away, so that the end can be written; raises where it stays away."""
        path = f"{self.record.folder}/{START}"

        def look() -> None:
            self.store.files.read(path)

        patiently(look, self.store.uri, seconds)

    def restore_start(self) -> bool:
        """Writes the start again where it is gone; returns whether it was: somebody removed the folder."""
        path = f"{self.record.folder}/{START}"
        return self.store.files.read(path) is None and self.store.files.write_new(path, self._start_content)

    def finish(self, end: dict[str, Any]) -> RunRecord:
        """Writes ``end.json``, unless there is one, and returns the run as the store has it."""
        self._end_writing()  # what a write that hangs leaves beside the end, nobody reads
        names = (HEARTBEAT, LIVE, *((PIPELINE,) if self.outlives_launcher else ()))
        end = {"job_id": self.job_id, **end}
        return end_run(self.store, self.record, self._start_content, end, names)

    @property
    def _start_content(self) -> bytes:
        return seal(encode_record(self.start))

    def _write(self, name: str, content: dict[str, Any]) -> None:
        self.store.files.write(f"{self.record.folder}/{name}", encode_record(content, indent=None))

    def _workers(self) -> list[dict[str, Any]]:
        self.workers_elsewhere = read_workers(self.store, self.record.folder)
        return merged_workers([*self._workers_here, *self.workers_elsewhere])

    def _beat(self) -> None:
        beat = {
            "at": now_text(),
            "job_id": self.job_id,
            "outlives_launcher": self.outlives_launcher,
            "left": self._has_left,
        }
        self._write(HEARTBEAT, beat)

    def _write_on(self) -> None:
        """Writes signs of life and counts until the run has ended; a thread of its own, so that no store that
        is slow, or away, stops the job."""
        beat_at = time.monotonic()
        while True:
            self._wake.wait(max(0.0, beat_at + HEARTBEAT_SECONDS - time.monotonic()))
            self._wake.clear()
            is_last = self._ended.is_set()
            if is_last and not self._has_left:
                return
            self._write_waiting()
            with contextlib.suppress(Exception):  # a store may be away for a while
                if self._beats_now or self._has_left or time.monotonic() - beat_at >= HEARTBEAT_SECONDS:
                    self._beats_now, beat_at = False, time.monotonic()
                    self._beat()
            if is_last:
                return

    def _write_waiting(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        try:
            for name in list(waiting):
                workers = {"workers": self._workers()} if name == LIVE else {}
                self._write(name, waiting[name] | workers)
                del waiting[name]
        except Exception:  # tried again, unless there is something newer by then
            with self._lock:
                self._waiting = waiting | self._waiting


def end_run(
    store: Store,
    record: RunRecord,
    start: bytes,
    end: dict[str, Any],
    passing: Iterable[str] = (HEARTBEAT, LIVE, PIPELINE),
) -> RunRecord:
    """Writes ``end.json``, unless there is one, and returns the run as the store has it.

    Args:
      store: the store.
      record: the run.
      start: content of the file ``start.json``.
      end: content of ``end.json`` but for the time.
      passing: names of the files that only a run without an end has; they are removed.
    """
    end = {"status": end["status"], "finished": now_text(), **end}
    end[FILES] = {START: content_hash(start).hexdigest(), **end.get(FILES, {})}
    store.files.write_new(f"{record.folder}/{END}", seal(encode_record(end)))
    for name in passing:
        store.files.delete(f"{record.folder}/{name}")
    return RunRecord(record.pipeline, record.id, record.start, end)


def keep_template(
    store: Store, context: RunContext, start: dict[str, Any], known: dict[str, Any]
) -> RunRecord:
    """Writes what is known of a classic template, of which each job that is started from it makes its run.

    Args:
      store: where it is kept.
      context: what the template's workers have as their run.
      start: content of ``start.json`` but for id, pipeline and time.
      known: what is known of the pipeline, for whoever writes the end of a run.
    """
    content = {"id": context.run, "pipeline": context.pipeline, "started": now_text(), **start}
    record = RunRecord(context.pipeline, context.run, content)
    store.files.write(f"{record.folder}/{PIPELINE}", encode_record(known, indent=None))
    store.files.write(f"{record.folder}/{START}", encode_record(content))
    return record
