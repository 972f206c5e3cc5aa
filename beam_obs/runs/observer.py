"""What makes a pipeline an observed one, attached to it whether it is an `obs.Pipeline` or a Beam one.

When the pipeline is made, its steps get a run's context and a home for dead letters. Each time it is
run, the graph is closed, a run is started in the store, and whatever ends the run, however it ends,
writes the end: the result, an exception, a signal, or the end of the program.
"""

from __future__ import annotations

import atexit
import contextlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from apache_beam.runners.runner import PipelineState
from apache_beam.version import __version__ as beam_version

from beam_obs.metrics import live
from beam_obs.metrics.snapshot import Snapshot, live_snapshot, read_snapshot
from beam_obs.records.errors import DeadRateExceeded, UsageError
from beam_obs.records.run_context import default_pipeline_name, observation_of
from beam_obs.records.run_id import new_run_id
from beam_obs.runs.code_version import code_version
from beam_obs.runs.dead_rate import judge_dead_rate
from beam_obs.runs.ending import describe_end, describe_error
from beam_obs.runs.graph import Graph, read_graph
from beam_obs.runs.options import PIPELINE_NAME, run_settings
from beam_obs.runs.progress import Progress
from beam_obs.runs.reach import check_reach, outlives_launcher
from beam_obs.runs.record import RunRecord
from beam_obs.runs.redaction import redact
from beam_obs.runs.report import print_report
from beam_obs.runs.run import Run
from beam_obs.runs.store import Store
from beam_obs.stages.dead_letters import DeadLetters
from beam_obs.stages.evidence import CommitEvidence

EVIDENCE_LABEL = "beam_obs evidence"

_SIGNAL_SECONDS = 10.0
_STATUS = {
    PipelineState.DONE: "done",
    PipelineState.DRAINED: "done",
    PipelineState.UPDATED: "done",
    PipelineState.CANCELLED: "cancelled",
    PipelineState.FAILED: "failed",
}


class _Running(threading.local):
    """The observers whose pipelines this thread is running, outermost first."""

    def __init__(self) -> None:
        self.observers: list[Observer] = []


_RUNNING = _Running()


def running_observer() -> Observer | None:
    """Returns the observer whose pipeline this thread runs; pipelines made now are Beam's copies of it."""
    return _RUNNING.observers[-1] if _RUNNING.observers else None


class Observer:
    """Observes the runs of one pipeline.

    Args:
      pipeline: a ``beam.Pipeline`` that has just been made.
      name: its name, where the options give none.
      store: root of the store, where the options give none.

    Raises:
      UsageError: an option of ours has a wrong value, or the name cannot be a folder's.
    """

    def __init__(self, pipeline: Any, name: str | None = None, store: str | None = None) -> None:
        given = pipeline.options
        self.settings = run_settings(given)
        asked = given.get_all_options(drop_default=True).get("obs_store")
        self.store = Store(self.settings.store if asked or store is None else store)
        self.pipeline = pipeline
        self.executed: Any = None
        """The copy that Beam made of the pipeline and ran in its place, where it told."""
        self.copied = False
        self._was_run = False
        self._committed: set[int] = set()
        self.observation = observation_of(pipeline)
        context = self.observation.context
        context.pipeline = self.settings.pipeline or _checked_name(name)
        context.store = self.store.uri
        self.observation.settings.sample_rate = self.settings.sample_rate
        self.observation.settings.output_cap = self.settings.output_cap
        self.observation.dead_letters = DeadLetters.of_run(context)

    @property
    def is_running(self) -> bool:
        """Whether this thread is inside `run`."""
        return self in _RUNNING.observers

    def run(self, run_pipeline: Callable[[], Any]) -> Any:
        """Runs the pipeline as a new run of its own, and returns Beam's result.

        Args:
          run_pipeline: Beam's own run of the pipeline.

        Raises:
          StoreOutOfReach: the runner's workers cannot reach the store; nothing was started.
          StoreNotWritable: the store cannot be written; nothing was started.
          DeadRateExceeded: the job has ended and a stage refused more than it may.
        """
        if self.is_running:
            return run_pipeline()
        self.close_graph()
        launched = self._launch()
        _RUNNING.observers.append(self)
        try:
            with self._noting_copies(), _ending_on_sigterm(launched):
                launched.result = run_pipeline()
        except BaseException as error:
            launched.conclude(_status_of_error(error), error)
            raise
        finally:
            _RUNNING.observers.remove(self)
        launched.watch()
        return launched.result

    def abandoned(self, error: BaseException) -> None:
        """Keeps a run of a pipeline that could not be built: the block that builds it has raised."""
        if self.is_running or self._was_run:
            return
        with contextlib.suppress(Exception):  # the user's own error is what they must see
            self._launch(built=False).conclude(_status_of_error(error), error)

    def close_graph(self) -> None:
        """Adds the step that commits the evidence of all others, unless it is there."""
        observation = self.observation
        home = observation.dead_letters
        home.close()
        new = [rows for rows in (*home.collected, *observation.evidence) if id(rows) not in self._committed]
        observation.dead_letters = DeadLetters.of_run(observation.context)
        if not new:
            return
        label = f"{EVIDENCE_LABEL} {len(self._committed)}" if self._committed else EVIDENCE_LABEL
        self._committed.update(map(id, new))
        tuple(new) | label >> CommitEvidence(observation.context)

    @property
    def counted(self) -> Any:
        """The pipeline under whose ids the runner counts."""
        return self.executed if self.executed is not None else self.pipeline

    def graph(self) -> Graph | None:
        """Returns the graph of the pipeline that was run; None where it cannot be told."""
        pipeline = self.counted
        with contextlib.suppress(Exception):
            hidden = [
                part.full_label for part in pipeline._root_transform().parts if _is_ours(part.full_label)
            ]
            return read_graph(pipeline, self.observation.stages, hidden)
        return None

    def _launch(self, built: bool = True) -> Launched:
        check_reach(self.store, self.pipeline.runner, self.pipeline.options)
        self.store.check_writable()
        self._was_run = True
        self.executed, self.copied = None, False
        context = self.observation.context
        code = code_version()
        context.run, context.code = new_run_id(), code["version"]
        options = self.pipeline.options
        start = {
            "code": code,
            "beam_version": beam_version,
            "weave_version": None,
            "runner": type(self.pipeline.runner).__name__,
            "job_id": None,
            "options": redact(options.get_all_options(drop_default=True, retain_unknown_options=True)),
            "inputs": [vars(dataset) | {} for dataset in self.observation.inputs],
            "parent_run": None,
            "coders": {
                label: {"kind": stage.kind, "coder": stage.payload_coder, "portable": stage.coder_proto}
                for label, stage in self.observation.stages.items()
            },
        }
        run = Run(
            self.store, context.pipeline, context.run, start, outlives_launcher(self.pipeline.runner, options)
        )
        return Launched(self, run, built)

    @contextlib.contextmanager
    def _noting_copies(self) -> Iterator[None]:
        """Notes whether Beam runs a copy: it asks for the portable form with stand-ins for coders then."""
        original = self.pipeline.to_runner_api

        def to_runner_api(*arguments: Any, **keywords: Any) -> Any:
            self.copied = self.copied or bool(keywords.get("use_fake_coders"))
            return original(*arguments, **keywords)

        self.pipeline.to_runner_api = to_runner_api
        try:
            yield
        finally:
            del self.pipeline.to_runner_api


class Launched:
    """One run under way.

    Args:
      observer: that of its pipeline.
      run: the run in the store.
      built: whether the pipeline was built to its end.
    """

    def __init__(self, observer: Observer, run: Run, built: bool = True) -> None:
        self._observer = observer
        self._built = built
        self.run = run
        self.result: Any = None
        self._verdict: DeadRateExceeded | None = None
        self._progress = Progress(
            run.record.id, observer.settings.progress, run.start["runner"], self._results
        )
        self._progress.start()
        atexit.register(self._program_ends)

    def watch(self) -> None:
        """Ends the run now, if it has ended, or else when the result says so."""
        result = self.result
        self.run.submitted(_job_id(result))
        wait, cancel = result.wait_until_finish, result.cancel

        def wait_until_finish(*arguments: Any, **keywords: Any) -> Any:
            try:
                state = wait(*arguments, **keywords)
            except BaseException as error:
                if isinstance(error, Exception) or not self.run.outlives_launcher:
                    self.conclude(_status_of_error(error), error)
                raise
            self._settle(state or result.state)
            return state

        def cancel_job(*arguments: Any, **keywords: Any) -> Any:
            answer = cancel(*arguments, **keywords)
            self.conclude("cancelled")
            return answer

        result.wait_until_finish, result.cancel = wait_until_finish, cancel_job
        # A result with a job service is asked for its state over the network: only those at hand are read.
        state = getattr(result, "_state", None)
        if isinstance(state, str) and PipelineState.is_terminal(state):
            self._settle(state)

    def conclude(self, status: str, error: BaseException | None = None) -> RunRecord | None:
        """Writes the end and prints the report; returns None where another has done so."""
        if not self.run.claim_end():
            return None
        atexit.unregister(self._program_ends)
        self._progress.stop()
        observer, run = self._observer, self.run
        snapshot = self._snapshot()
        known = observer.executed is not None or not observer.copied
        end = describe_end(
            run.store,
            run.record.folder,
            observer.observation,
            observer.graph(),
            snapshot,
            counted_alike=known,
        )
        if not self._built:
            end["balance"]["unchecked"] = (
                "no counts: the pipeline was not run, the block that builds it ended early"
            )
        if status == "done":
            settings = observer.settings
            kinds = end["dead_letters"]["by_fingerprint"]
            self._verdict = judge_dead_rate(
                snapshot.stages,
                settings.max_dead_rate,
                settings.max_dead_minimum,
                kinds,
                observer.observation.dead_rates,
            )
        failure = error or self._verdict
        end["status"] = "failed" if self._verdict is not None else status
        end["error"] = describe_error(failure) if failure is not None else None
        record = run.finish(end)
        live.forget(run.record.id)
        print_report(record, run.store, observer.settings.report)
        return record

    def _settle(self, state: str) -> None:
        if PipelineState.is_terminal(state):
            self.conclude(_STATUS.get(state, "failed"))
        if self._verdict is not None:
            raise self._verdict

    def _results(self) -> Snapshot | None:
        """Returns the numbers so far, where anyone has them."""
        in_process = live_snapshot(self.run.record.id)
        if in_process.stages or self.result is None:
            return in_process if in_process.stages else None
        with contextlib.suppress(Exception):
            return read_snapshot(self.result, self._observer.counted)
        return None

    def _snapshot(self) -> Snapshot:
        if self.result is not None:
            with contextlib.suppress(Exception):
                found = read_snapshot(self.result, self._observer.counted)
                if found.stages or found.elements:
                    return found
        in_process = live_snapshot(self.run.record.id)
        return in_process if in_process.stages else Snapshot()

    def _program_ends(self) -> None:
        if self.run.ended or not self.run.is_mine:
            return
        state = None
        with contextlib.suppress(Exception):
            state = self.result.state
        if state is not None and PipelineState.is_terminal(state):
            self.conclude(_STATUS.get(state, "failed"))
        elif self.run.outlives_launcher and self.result is not None:
            self._progress.stop()
            self.run.left()
        else:
            self.conclude("cancelled", RuntimeError("the program ended without waiting for its job"))


def _checked_name(name: str | None) -> str:
    if name is None:
        return re.sub(r"[^A-Za-z0-9._-]+", "-", default_pipeline_name()).strip("-._")[:128] or "pipeline"
    if PIPELINE_NAME.fullmatch(name) is None:
        raise UsageError(
            f"a pipeline cannot be named {name!r}: its name is a folder's in the store; "
            "use letters, digits, '.', '_' and '-', at most 128 of them"
        )
    return name


def _is_ours(label: str) -> bool:
    return label.startswith(EVIDENCE_LABEL)


def _job_id(result: Any) -> str | None:
    for name in ("_job_id", "job_id"):
        found = None
        with contextlib.suppress(Exception):
            found = getattr(result, name, None)
        if found:
            return str(found() if callable(found) else found)
    return None


def _status_of_error(error: BaseException) -> str:
    """Returns what an exception makes of its run; Beam wraps an interrupt that meets the user's code."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, KeyboardInterrupt):
        link = link.__cause__ or link.__context__
    return "failed" if isinstance(error, Exception) and link is None else "cancelled"


@contextlib.contextmanager
def _ending_on_sigterm(launched: Launched) -> Iterator[None]:
    """Writes the run's end when the process is asked to end, then lets it end as it would have.

    Only where nobody else handles the signal, and in the main thread, where Python allows it.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    ):
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        # The interrupted code may hold a lock that the end needs: another thread writes it, and not for ever.
        error = InterruptedError("the process was asked to end (SIGTERM)")
        writer = threading.Thread(target=launched.conclude, args=("cancelled", error), daemon=True)
        writer.start()
        writer.join(_SIGNAL_SECONDS)
        sys.stderr.flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
