"""One run under way: whatever ends it, its end is written once and its report printed."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from apache_beam.runners.direct.direct_runner import DirectPipelineResult
from apache_beam.runners.runner import PipelineState

from beam_obs.dead_letters.evidence_file import reason_of
from beam_obs.exporters.exporter_group import ExporterGroup, make_exporters_that_work
from beam_obs.logs.log_setup import lost_at_the_end, take_down_logs
from beam_obs.metrics import live
from beam_obs.metrics.families import Family
from beam_obs.metrics.job_numbers import Beside
from beam_obs.metrics.kept_instruments import are_any_kept
from beam_obs.metrics.live_instruments import (
    count_here,
    families_here,
    forget_instruments,
    with_counts_here,
)
from beam_obs.metrics.run_snapshot import Snapshot, StageCounts, live_snapshot, read_snapshot
from beam_obs.metrics.users_metrics import users_metrics
from beam_obs.metrics.workers import forget_worker, launch_here, numbers_here
from beam_obs.records.errors import DeadRateExceeded
from beam_obs.records.weave_report import WeaveReport
from beam_obs.records.worker_numbers import merged_workers
from beam_obs.reports.lateness_text import lateness_text
from beam_obs.runs.committed_so_far import Committed, CommittedSoFar
from beam_obs.runs.ending import describe_error
from beam_obs.runs.failing_record import FailingRecord, failing_record
from beam_obs.runs.given_up import failure_of_stream
from beam_obs.runs.graph import Graph
from beam_obs.runs.known_pipeline import KnownPipeline
from beam_obs.runs.live_counts import LiveCounts
from beam_obs.runs.printed_report import print_wanted_report
from beam_obs.runs.progress import Progress
from beam_obs.runs.run_span import RunSpan, start_run_span
from beam_obs.runs.watcher import Watcher
from beam_obs.runs.whole_end import whole_end
from beam_obs.store.evidence import read_evidence
from beam_obs.store.instrument_values import kept_families
from beam_obs.store.numbers_of_run import numbers_of_run
from beam_obs.store.run import Run
from beam_obs.store.run_record import RunRecord, now_text
from beam_obs.wrapper.exception_note import note_of, show_note

if TYPE_CHECKING:
    from beam_obs.runs.observer import Observer

_LOGGER = logging.getLogger(__name__)

_SIGNAL_SECONDS = 10.0
STATUS_OF_STATE = {
    PipelineState.DONE: "done",
    PipelineState.DRAINED: "done",
    PipelineState.UPDATED: "done",
    PipelineState.CANCELLED: "cancelled",
    PipelineState.FAILED: "failed",
}


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
        launch_here(run.record.id)
        count_here(run.record.id)
        self.result: Any = None
        self.weave_reports: list[WeaveReport] = []
        """What was woven, once for each time the runner asked for the pipeline; the last one counts."""
        self._verdict: DeadRateExceeded | None = None
        self._given_up: BaseException | None = None
        self._failing: FailingRecord | None = None
        self._graph: Graph | None = None
        self._exporters = make_exporters_that_work(observer.settings.exporters)
        self._run_span: RunSpan | None = None
        self._telemetry_lost = 0
        with _logging_errors(run, "begin the span of"):
            self._run_span = start_run_span(observer.observation.context)
        kinds = {label: stage.kind for label, stage in observer.observation.stages.items()}
        self._live = LiveCounts(kinds, run.start["started"])
        self._committed = CommittedSoFar(run.store, run.record.folder)
        # While the runner makes its own of the pipeline, nobody else looks at it.
        self._graph_at_launch = observer.graph(was_run=False)
        self._progress = Progress(observer.settings.progress, run.start["runner"])
        self._watcher = Watcher(self._progress, self._results, self._keep)
        self._watcher.start()
        self._until_end = contextlib.ExitStack()
        atexit.register(self._program_ends)

    def answer_at_a_pace(self) -> None:
        """Lets workers in this process answer an engine that asks for figures all the time."""
        from beam_obs.runs.paced_answers import answering_at_a_pace

        self._until_end.enter_context(answering_at_a_pace())

    def watch(self) -> None:
        """Ends the run now, if it has ended, or else when the result says so."""
        result = self.result
        if result is None:  # a runner of somebody's own that says no more
            self.conclude("done")
            return
        result.beam_obs_run = self.run  # so that a test finds the run of a result
        result.beam_obs_beside = Beside(self._counted_pipeline, self._kept_families)
        result.metrics = users_metrics(result.metrics)
        self.run.submitted(_job_id(result))
        if self.run.outlives_launcher:
            self._keep_pipeline()
        wait, cancel = result.wait_until_finish, result.cancel

        def wait_until_finish(*arguments: Any, **keywords: Any) -> Any:
            try:
                with self.ending_on_sigterm():
                    state = wait(*arguments, **keywords)
            except Exception as error:
                if self._has_ended():
                    self.fail(error)
                raise
            except BaseException as error:
                if not self.run.outlives_launcher:
                    self.fail(error)
                raise
            if self._given_up is not None:
                raise self._given_up
            self._settle(state or result.state)
            return state

        def cancel_job(*arguments: Any, **keywords: Any) -> Any:
            self._end_if_given_up()
            answer = cancel(*arguments, **keywords)
            self.conclude("cancelled")
            return answer

        result.wait_until_finish, result.cancel = wait_until_finish, cancel_job
        # A result with a job service is asked for its state over the network: only those at hand are read.
        state = getattr(result, "_state", None)
        if isinstance(state, str) and PipelineState.is_terminal(state):
            self._settle(state)

    def _keep_pipeline(self) -> None:
        """Keeps what is known of the pipeline for whoever writes the end."""
        with _logging_errors(self.run, "keep what is known of"):
            known = self._known(self._observer.graph()).with_labels(self._observer.counted)
            self.run.keep_pipeline(known.to_json())

    def leave(self, job_id: str | None) -> None:
        """Notes that somebody else starts the job, so that nothing is known of it here."""
        atexit.unregister(self._program_ends)
        self._until_end.close()
        self._watcher.stop()
        self.run.submitted(job_id)
        self._keep_pipeline()
        self.run.left()
        self._exporters.close()

    def fail(self, error: BaseException) -> None:
        """Writes the end of a run that an error has ended, as `conclude` does."""
        self.conclude(_status_of_error(error), error)

    def conclude(self, status: str, error: BaseException | None = None) -> None:
        """Writes the end and prints the report, unless another has done so.

        What goes wrong here is logged: the job is over, and its own outcome is what the program must see.
        """
        if not self.run.claim_end():
            return
        atexit.unregister(self._program_ends)
        self._until_end.close()
        self._watcher.stop()
        if error is not None:
            self._note_record(error)
        if self._run_span is not None:
            with _logging_errors(self.run, "send the last spans of"):
                self._telemetry_lost += self._run_span.end(status, error)
        with _logging_errors(self.run, "send the last log lines of"):
            self._telemetry_lost += lost_at_the_end(self.run.record.id)
        end: dict[str, Any] = {
            "status": status,
            "error": self._error(error) if error is not None else None,
        }
        with _logging_errors(self.run, "reach the store of"):
            self.run.wait_for_store(self._observer.settings.store_patience)
        with _logging_errors(self.run, "describe the end of"):
            end = self._described(status, error)
        with _logging_errors(self.run, "find the start of"):
            end["was_removed"] = self.run.restore_start()
        record = dataclasses.replace(self.run.record, end={"finished": now_text(), **end})
        with _logging_errors(self.run, "write the end of"):
            record = self.run.finish(end)
        live.forget(self.run.record.id)
        forget_instruments(self.run.record.id)
        forget_worker(self.run.record.id)
        with _logging_errors(self.run, "let go of the logs of"):
            take_down_logs(self.run.record.id)
        with _logging_errors(self.run, "report the end of"):
            print_wanted_report(record, self.run.store, self._observer.settings.report)
        self._export(record)
        self._exporters.close()

    def _described(self, status: str, error: BaseException | None) -> dict[str, Any]:
        observer, run = self._observer, self.run
        failing = self._failing.partition() if self._failing is not None else None
        end, self._verdict = whole_end(
            run.store,
            run.record.folder,
            self._known(observer.graph()),
            self._snapshot(status).with_lost(self._telemetry_lost),
            observer.executed is not None or not observer.copied,
            status,
            failing,
        )
        if not self._built:
            end["balance"]["unchecked"] = (
                "no counts: the pipeline was not run, the block that builds it ended early"
            )
        failure = error or self._verdict
        end["error"] = self._error(failure) if failure is not None else None
        return end

    def _known(self, graph: Graph | None) -> KnownPipeline:
        return self._observer.known(graph, self.weave_reports)

    def _error(self, error: BaseException) -> dict[str, Any]:
        found = describe_error(error, values_are_hidden=self._observer.redaction is not None)
        return found if self._failing is None else found | {"at": self._failing.to_json()}

    def _note_record(self, error: BaseException) -> None:
        """Finds the record that the run failed at, and shows it beside the exception."""
        hides_values = self._observer.redaction is not None
        with _logging_errors(self.run, "look for the failing record of"):
            self._failing = failing_record(error, self._kinds, hides_values, self.run.record.id)
            note = note_of(error) if self._failing is None else self._failing.text
            if note is not None:
                show_note(error, note)

    @property
    def _kinds(self) -> dict[str, str]:
        """Label of a step that reads -> name of its class."""
        woven = {source.label: source.kind for report in self.weave_reports[-1:] for source in report.sources}
        return woven | {label: stage.kind for label, stage in self._observer.observation.stages.items()}

    @contextlib.contextmanager
    def ending_on_sigterm(self) -> Iterator[None]:
        """Writes the end when the process is asked to end, then lets it end as it would have.

        Only where nobody else handles the signal, in the main thread, where Python allows it, and where the
        job does not go on without this process.
        """
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL or self._detached:
            yield
            return

        def end(number: int, frame: FrameType | None) -> None:
            # The interrupted code may hold a lock that the end needs: another thread writes it, for a while.
            error = InterruptedError("the process was asked to end (SIGTERM)")
            writer = threading.Thread(target=self.conclude, args=("cancelled", error), daemon=True)
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

    @property
    def _detached(self) -> bool:
        """Whether there is a job that goes on without this process."""
        return self.run.outlives_launcher and self.result is not None

    def _has_ended(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(PipelineState.is_terminal(self.result.state))
        return False

    def _settle(self, state: str) -> None:
        if PipelineState.is_terminal(state):
            self.conclude(STATUS_OF_STATE.get(state, "failed"))
        if self._verdict is not None:
            raise self._verdict

    @property
    def _counting(self) -> Any:
        """The result that has the numbers: the interactive runner's has that of the runner which it uses."""
        return getattr(self.result, "_underlying_result", self.result)

    def _counted_pipeline(self) -> Any:
        """Returns the pipeline under whose ids the runner counts; None where Beam ran a copy of its own."""
        observer = self._observer
        return None if observer.copied and observer.executed is None else observer.counted

    def _kept_families(self, problems: list[str]) -> list[Family]:
        """Returns the gauges and summaries of bundles that were committed so far."""
        store, folder = self.run.store, self.run.record.folder
        return kept_families(store, folder, read_evidence(store, folder), problems)

    def _results(self, all_of_them: bool) -> Snapshot | None:
        """Returns the numbers so far, where anyone has them.

        Args:
          all_of_them: whether the runner is asked too where stages run in this process: it counts elements.
        """
        in_process = live_snapshot(self.run.record.id)
        stages = self._observer.observation.stages
        here = {label: in_process.stages[label] for label in stages if label in in_process.stages}
        told = None
        if self.result is not None and (all_of_them or not here):
            with contextlib.suppress(Exception):
                told = read_snapshot(self._counting, self._observer.counted)
        if told is None:
            # Not where there is a result: it tells later than what is seen here, so that counters would fall.
            instruments = self._instruments_here() if self.result is None else ()
            told = Snapshot(instruments=instruments) if instruments else None
        if not here:
            return told
        told = told or in_process
        return dataclasses.replace(
            in_process,
            stages=here,
            elements=told.elements,
            late=told.late,
            lags=told.lags,
            instruments=told.instruments,
            of_instruments=told.of_instruments,
        )

    def _instruments_here(self) -> tuple[Family, ...]:
        with contextlib.suppress(Exception):
            return families_here(self.run.record.id)
        return ()

    def _end_if_given_up(self) -> None:
        """Ends the run where its runner has given it up, and would say so to nobody who does not wait."""
        if self._given_up is None and (failure := failure_of_stream(self.result)) is not None:
            self._given_up = failure
            self.result._executor.shutdown()
            self.result._state = PipelineState.FAILED
            self.conclude("failed", failure)

    def _keep(self, snapshot: Snapshot | None) -> None:
        """Keeps the numbers so far in the store."""
        self._end_if_given_up()
        if self.run.ended:
            return
        observer = self._observer
        if self._graph is None and self.result is not None:
            self._graph = observer.graph()
        known = self._graph is not None and (observer.executed is not None or not observer.copied)
        elements = snapshot.elements if snapshot is not None and known else None
        woven = self.weave_reports[-1] if self.weave_reports else None
        gatherings = woven.gatherings if woven is not None else []
        is_looked_at = self._exporters or are_any_kept() or any(one.may_drop for one in gatherings)
        committed = self._committed.latest() if is_looked_at else Committed()
        told = self._live.told(self._graph or self._graph_at_launch, snapshot, elements, committed, woven)
        self._progress.lateness = lateness_text(told)
        here = [worker.to_json() for worker in numbers_here(self.run.record.id)]
        self.run.keep_live(dict(told), here)
        told["workers"] = merged_workers([*here, *self.run.workers_elsewhere])
        told["dead_letters"] = {"by_fingerprint": committed.kinds}
        heartbeat = {"job_id": self.run.job_id}
        self._export(dataclasses.replace(self.run.record, live=told, heartbeat=heartbeat))

    def _export(self, record: RunRecord) -> None:
        """Gives the exporters what the store is given; an error of ours is told once."""
        if not self._exporters:
            return
        try:
            self._exporters.export(numbers_of_run(record))
        except Exception as error:
            self._exporters.close()
            self._exporters = ExporterGroup()
            _LOGGER.error("beam_obs could not export the numbers of a run", exc_info=error)

    def _snapshot(self, status: str) -> Snapshot:
        found = Snapshot()
        if self.result is not None:
            with contextlib.suppress(Exception):
                found = read_snapshot(self._counting, self._observer.counted)
                if found.stages or found.elements:
                    return self._whole(found, status)
        here = live_snapshot(self.run.record.id)
        # Of a stream without Stages the direct runner tells nothing: there is no count to hold ours against.
        is_live = bool(here.stages) or isinstance(self._counting, DirectPipelineResult)
        return dataclasses.replace(
            here,
            live=is_live,
            late=found.late,
            lags=found.lags,
            telemetry=found.telemetry,
            instruments=with_counts_here(self.run.record.id, found.instruments),
            of_instruments=found.of_instruments,
        )

    def _whole(self, found: Snapshot, status: str) -> Snapshot:
        """Returns the numbers of a result; those counted here where it lacks some: the bundle-based direct
        runner loses those of a TestStream's bundles, and no runner has those of a cancelled bundle."""
        if not isinstance(self._counting, DirectPipelineResult) and status != "cancelled":
            return found
        here = live_snapshot(self.run.record.id).stages
        if all(found.stages.get(label, StageCounts()).in_ >= counts.in_ for label, counts in here.items()):
            return found
        stages = {
            label: dataclasses.replace(counts, latency=found.stages.get(label, counts).latency)
            for label, counts in here.items()
        }
        return dataclasses.replace(
            found,
            stages=stages,
            live=True,
            instruments=with_counts_here(self.run.record.id, found.instruments),
        )

    def _program_ends(self) -> None:
        if self.run.ended or not self.run.is_mine:
            return
        state = None
        with contextlib.suppress(Exception):
            state = self.result.state
        if state is not None and PipelineState.is_terminal(state):
            self.conclude(STATUS_OF_STATE.get(state, "failed"))
        elif self._detached:
            self._watcher.stop()
            self.run.left()
            self._exporters.close()
        else:
            self.conclude("cancelled", RuntimeError("the program ended without waiting for its job"))


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
def _logging_errors(run: Run, task: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # What a filesystem says needs no traceback.
        _LOGGER.error(
            "beam_obs could not %s run %s in the store %s: %s",
            task,
            run.record.id,
            run.store.uri,
            reason_of(error),
            exc_info=None if isinstance(error, OSError) else error,
        )
