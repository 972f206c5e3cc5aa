"""Keeps spans in the run's folder, where no backend takes them: files of OTLP JSON, one for each bundle.

Streams have many small bundles: when more files are asked for than one in ten seconds, after the first
hundred, spans wait for the next one.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from typing import TYPE_CHECKING

from beam_obs.files.new_file import write_new_file
from beam_obs.records.span_rows import SpanFile, span_text
from beam_obs.traces.record_span import SCOPE, RecordSpan
from beam_obs.traces.record_span_text import is_plain, record_span_text
from beam_obs.traces.slow_gate import SlowGate
from beam_obs.traces.span_row_of import span_row_of
from beam_obs.traces.step_span import StepSpan

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

MOST_AT_ONCE = 2_000
"""Spans that are held before they are written, bundle or not."""
MOST_OF_PROCESS = 200_000
"""Spans of a run that a process keeps; what comes beyond is lost and counted."""

_FILES_AT_ONCE = 100
_SECONDS_A_FILE = 10.0
_LOGGER = logging.getLogger(__name__)


class StoreSink:
    """Writes spans to files of a run's folder.

    Args:
      folder: the run's; None keeps nothing.
      keeps_messages: whether messages and tracebacks of exceptions may be kept.
    """

    def __init__(self, folder: str | None, keeps_messages: bool = True) -> None:
        self._folder = folder
        self._keeps_messages = keeps_messages
        self._held = SpanFile()
        self._lock = threading.Lock()
        self._kept = self._lost = 0
        self._has_failed = False
        self._files = SlowGate(_FILES_AT_ONCE, _SECONDS_A_FILE)
        atexit.register(self.close)

    def take(self, span: ReadableSpan | RecordSpan) -> None:
        """Takes a span, or counts it as lost where the process has kept enough."""
        if self._folder is None or self._kept >= MOST_OF_PROCESS:
            self._lost += 1
            return
        try:
            # Text is held, not spans: each collection of garbage would look at all of those.
            if isinstance(span, StepSpan) and (text := span.text()) is not None:
                self._held.add(text, SCOPE, span.told_of_process)
            else:
                self._hold(span)
        except Exception:
            self._lost += 1
            return
        self._kept += 1
        if len(self._held) >= MOST_AT_ONCE:
            self._write()

    def _hold(self, span: ReadableSpan | RecordSpan) -> None:
        if isinstance(span, RecordSpan) and is_plain(span):
            self._held.add(record_span_text(span), SCOPE, span.told_of_process)
        else:
            row = span_row_of(span, self._keeps_messages)
            self._held.add(span_text(row), row.scope, row.resource)

    def flush(self) -> None:
        """Writes what there is, unless there were many files of late."""
        if self._held and self._files.may_go():
            self._write()

    def close(self) -> None:
        """Writes what is left."""
        atexit.unregister(self.close)
        self._write()

    def take_lost(self) -> int:
        """Returns how many spans were lost since it was asked last."""
        lost, self._lost = self._lost, 0
        return lost

    def _write(self) -> None:
        with self._lock:
            spans, self._held = self._held, SpanFile()
        if not spans or self._folder is None:
            return
        try:
            _write_file(f"{self._folder}/traces-{os.urandom(8).hex()}.jsonl", spans.content())
        except Exception as error:
            self._lost += len(spans)
            if not self._has_failed:
                self._has_failed = True
                _LOGGER.warning("spans cannot be written to %s, and are lost: %s", self._folder, error)


def _write_file(path: str, content: bytes) -> None:
    if "://" not in path:
        write_new_file(path, content, is_synced=False)
        return
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(content)
