"""A runner that runs each bundle more than once, as real runners do when a worker fails.

The last thing that can go wrong is the commit: all of a bundle is done, files are written, and then
its results are lost and it is done again. This runner does that to every bundle.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner


class RetryingRunner(FnApiRunner):
    """Beam's FnApiRunner, in which each bundle is done, fails to be committed, and is done again.

    What a failed attempt gave is lost: its outputs, state, timers and counters, and its bundle is not
    finalized. What it did to the world stays: files written, requests sent. A pipeline whose outcome is
    the same as on one attempt is idempotent.

    Also by name: ``--runner=beam_obs.testing.RetryingRunner``.

    Args:
      times: attempts at each bundle; only the last is committed.
      keywords: as the FnApiRunner takes them.

    Raises:
      ValueError: there would be no attempt.

    >>> import apache_beam as beam
    >>> attempts = []
    >>> with beam.Pipeline(RetryingRunner(times=3)) as p:
    ...     _ = p | beam.Create(["a"], reshuffle=False) | beam.Map(attempts.append)
    """

    def __init__(self, times: int = 2, **keywords: Any) -> None:
        if times < 1:
            raise ValueError(f"RetryingRunner(times={times}): give 1 or more")
        super().__init__(**keywords)
        self._attempts_lost = times - 1

    def _run_bundle_multiple_times_for_testing(
        self,
        runner_execution_context: Any,
        bundle_manager: Any,
        data_input: Any,
        data_output: Any,
        fired_timers: Any,
        expected_output_timers: Any,
    ) -> None:
        # Beam's hook for profiling: it would finalize each attempt, as though it had been committed.
        for _ in range(self._attempts_lost):
            runner_execution_context.state_servicer.checkpoint()
            try:
                with _not_finalizing(bundle_manager.bundle_context_manager.worker_handlers):
                    bundle_manager.process_bundle(
                        data_input, data_output, fired_timers, expected_output_timers, dry_run=True
                    )
            finally:
                runner_execution_context.state_servicer.restore()


@contextlib.contextmanager
def _not_finalizing(worker_handlers: Any) -> Iterator[None]:
    """Answers requests to finalize a bundle in the workers' place."""
    connections = [(handler, handler.control_conn) for handler in worker_handlers]
    for handler, connection in connections:
        handler.control_conn = _WithoutFinalization(connection)
    try:
        yield
    finally:
        for handler, connection in connections:
            handler.control_conn = connection


class _WithoutFinalization:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def push(self, request: Any) -> Any:
        if request is not None and request.WhichOneof("request") == "finalize_bundle":
            return _Answered()
        return self._connection.push(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Answered:
    """A future that has its answer."""

    def get(self, timeout: float | None = None) -> Any:
        return beam_fn_api_pb2.InstructionResponse()

    def is_done(self) -> bool:
        return True
