"""What makes a pipeline an observed one, attached to it whether it is an `obs.Pipeline` or a Beam one.

When the pipeline is made, its steps get a run's context and a home for dead letters. Each time it is
run, the graph is closed, a run is started in the store, and whatever ends the run, however it ends,
writes the end: the result, an exception, a signal, or the end of the program.

What only a run needs is imported when there is one: half of what `import beam_obs` would take.
"""

from __future__ import annotations

import contextlib
import functools
import platform
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from apache_beam.version import __version__ as beam_version

from beam_obs.dead_letters.evidence_writer import EVIDENCE_LABEL, CommitOfRun, writes_at_once
from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.metrics.names import is_within
from beam_obs.records.errors import UsageError
from beam_obs.records.run_context import default_pipeline_name, observation_of
from beam_obs.records.run_id import new_run_id
from beam_obs.records.secrets import redact, redact_text
from beam_obs.records.versions import versions_here
from beam_obs.records.weave_report import WeaveReport
from beam_obs.replay.under_way import NotRun, replay_under_way
from beam_obs.runs.code_version import code_version
from beam_obs.runs.dataflow_options import check_dataflow_options, label_job
from beam_obs.runs.dead_rate import limits_told
from beam_obs.runs.log_options import log_settings
from beam_obs.runs.option_names import settle_options
from beam_obs.runs.options import PIPELINE_NAME, ObservabilityOptions, run_settings
from beam_obs.runs.printed_report import print_wanted_report
from beam_obs.runs.prism_options import keep_bundles_whole
from beam_obs.runs.reach import check_reach, outlives_launcher
from beam_obs.runs.step_code import step_code
from beam_obs.runs.template import Template, template_of
from beam_obs.runs.trace_options import told_of, trace_settings
from beam_obs.store.run import Run, keep_template
from beam_obs.store.store import Store
from beam_obs.weaving.lineage_options import weave_version, weaving_as_asked
from beam_obs.wrapper.redaction import Redact, redaction_of

if TYPE_CHECKING:
    from beam_obs.replay.replay import Replay, ReplayPlan
    from beam_obs.runs.graph import Graph
    from beam_obs.runs.known_pipeline import KnownPipeline
    from beam_obs.runs.launched import Launched


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
      redact: names of fields whose values are left out of what is kept of refused records, besides those
        that the options give; or a function that gives a record's redacted form.

    Raises:
      SystemExit: with 2, an option of ours on the command line is misspelt.
      UsageError: an option of ours has a wrong value, the name cannot be a folder's, or `redact` is
        neither names nor a function.
    """

    def __init__(
        self,
        pipeline: Any,
        name: str | None = None,
        store: str | None = None,
        redact: Redact | None = None,
    ) -> None:
        given = pipeline.options
        settle_options(given)
        self.settings = run_settings(given)
        asked = given.view_as(ObservabilityOptions).obs_store
        self.store = Store(self.settings.store if asked or store is None else store)
        self.pipeline = pipeline
        self.executed: Any = None
        """The copy that Beam made of the pipeline and ran in its place, where it told."""
        self.copied = False
        self._replay: Replay | None = None
        self._was_run = False
        self._committed: set[int] = set()
        self.observation = observation_of(pipeline)
        context = self.observation.context
        context.pipeline = self.settings.pipeline or checked_name(name)
        context.store = self.store.uri
        context.store_patience = self.settings.store_patience
        self.observation.settings.sample_rate = self.settings.sample_rate
        self.observation.settings.output_cap = self.settings.output_cap
        of_program = redaction_of(redact, self.settings.payload)
        self.redaction = redaction_of(self.settings.redact, outer=of_program)
        self.observation.settings.payload = self.settings.payload
        self.observation.settings.redact = self.redaction
        context.logs = log_settings(self.settings, given)
        self.observation.dead_letters = DeadLetters.of_run(context)
        self.observation.lineage = weave_version(given) is not None

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
        replay = replay_under_way()
        plan = None
        if replay is not None:
            if not replay.is_for(self.pipeline, self.observation):
                return NotRun()
            plan = self._replaying(replay)
        template = template_of(self.pipeline.runner, self.pipeline.options)
        if template is not None and not template.is_flex:
            return self._write_template(template, run_pipeline)
        bundles_are_whole = keep_bundles_whole(self.pipeline)
        launched = self._launch()
        if bundles_are_whole:
            launched.answer_at_a_pace()
        label_job(self.pipeline.runner, self.pipeline.options, self.observation.context)
        _RUNNING.observers.append(self)
        try:
            if replay is not None and plan is not None:
                cut = replay.started(self.pipeline, plan, self.observation.context)
                run_pipeline = functools.partial(cut.run, False)
            with (
                self._weaving() as launched.weave_reports,
                self._noting_copies(),
                launched.ending_on_sigterm(),
            ):
                launched.result = run_pipeline()
        except BaseException as error:
            launched.fail(error)
            raise
        finally:
            _RUNNING.observers.remove(self)
        if template is not None:
            launched.leave(template.job_id)
        else:
            launched.watch()
        return launched.result

    def _replaying(self, replay: Replay) -> ReplayPlan:
        """Makes this the observer of a replay: in the store, and with the name, of the run that it is of."""
        observation = self.observation
        if template_of(self.pipeline.runner, self.pipeline.options) is not None:
            raise UsageError("a template cannot be made of a replay: leave out --template_location")
        plan = replay.plan(self.pipeline, observation)
        self.store, self._replay = replay.store, replay
        observation.context.pipeline, observation.context.store = replay.pipeline, replay.store.uri
        labels = plan.cut.labels
        observation.stages = {
            label: stage for label, stage in observation.stages.items() if _has_steps(label, labels)
        }
        observation.outputs = [one for one in observation.outputs if _has_steps(one.label, labels)]
        observation.inputs = [one for one in observation.inputs if _has_steps(one.label, labels)]
        # What was refused once may be refused again, all of it: that fails no replay.
        self.settings = self.settings._replace(max_dead_rate=1.0)
        observation.dead_rates.clear()
        return plan

    def _write_template(self, template: Template, run_pipeline: Callable[[], Any]) -> Any:
        """Lets Beam write a classic template, and keeps a folder for what jobs started from it leave."""
        start = {**self._described(), "template": template.location}
        self.observation.context.is_one_job = False
        label_job(self.pipeline.runner, self.pipeline.options, self.observation.context)
        _RUNNING.observers.append(self)
        try:
            with self._weaving() as weave_reports:
                result = run_pipeline()
        finally:
            _RUNNING.observers.remove(self)
        known = self.known(self.graph(), weave_reports).with_labels(self.counted)
        record = keep_template(self.store, self.observation.context, start, known.to_json())
        print_wanted_report(record, self.store, self.settings.report)
        return result

    def abandoned(self, error: BaseException) -> None:
        """Keeps a run of a pipeline that could not be built: the block that builds it has raised."""
        if self.is_running or self._was_run:
            return
        with contextlib.suppress(Exception):  # the user's own error is what they must see
            self._launch(built=False).fail(error)

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
        commit = CommitOfRun(observation.context, at_once=writes_at_once(self.pipeline))
        tuple(new) | label >> commit

    @property
    def counted(self) -> Any:
        """The pipeline under whose ids the runner counts."""
        return self.executed if self.executed is not None else self.pipeline

    def graph(self, was_run: bool = True) -> Graph | None:
        """Returns the graph of the pipeline that was run, or will be; None where it cannot be told."""
        from beam_obs.runs.graph import read_graph
        from beam_obs.runs.one_row import Row, one_row_steps

        pipeline = self.counted
        with contextlib.suppress(Exception):
            hidden = [
                part.full_label for part in pipeline._root_transform().parts if _is_ours(part.full_label)
            ]
            rows = one_row_steps(self.pipeline)
            if self._replay is not None:
                rows |= dict.fromkeys(self._replay.labels, Row(False))
            return read_graph(pipeline, self.observation.stages, hidden, rows, was_run)
        return None

    def known(self, graph: Graph | None, weave_reports: list[WeaveReport]) -> KnownPipeline:
        """Returns what is known of the pipeline, as far as the end of a run needs it."""
        from beam_obs.runs.known_pipeline import KnownPipeline

        return KnownPipeline(
            self.observation,
            graph,
            weave_reports[-1] if weave_reports else None,
            self.settings.max_dead_rate,
            self.settings.max_dead_minimum,
            self.redaction is not None,
        )

    def _launch(self, built: bool = True) -> Launched:
        from beam_obs.runs.launched import Launched

        start = self._described()
        context = self.observation.context
        outlives = outlives_launcher(self.pipeline.runner, self.pipeline.options)
        return Launched(self, Run(self.store, context.pipeline, context.run, start, outlives), built)

    def _described(self) -> dict[str, Any]:
        """Returns what ``start.json`` says of a run that starts now, and gives it its id.

        Raises:
          StoreOutOfReach: the runner's workers cannot reach the store.
          StoreNotWritable: the store cannot be written.
        """
        options = self.pipeline.options
        check_dataflow_options(self.pipeline.runner, options)
        check_reach(self.store, self.pipeline.runner, options, self.settings.store_shared)
        self.store.check_writable()
        self._was_run = True
        self.executed, self.copied = None, False
        context = self.observation.context
        code = code_version()
        context.run, context.code, context.is_one_job = new_run_id(), code["version"], True
        context.traces = trace_settings(
            options, context, self.redaction is None, labels=self.pipeline.applied_labels
        )
        package = code["package"].partition(" ")[0] if code["package"] else None
        context.versions = versions_here(package)
        return {
            "code": code,
            "versions": context.versions,
            "step_code": step_code(self.pipeline),
            "python_version": platform.python_version(),
            "beam_version": beam_version,
            "weave_version": weave_version(options),
            "runner": type(self.pipeline.runner).__name__,
            "job_id": None,
            "options": redact(
                options.get_all_options(drop_default=True, retain_unknown_options=True),
                self.redaction.fields if self.redaction is not None else (),
            ),
            "inputs": [
                {**vars(dataset), "uri": redact_text(dataset.uri)} for dataset in self.observation.inputs
            ],
            "traces": told_of(context.traces),
            "parent_run": self._replay.parent if self._replay is not None else None,
            "replay": self._replay.described() if self._replay is not None else None,
            **limits_told(
                self.settings.max_dead_rate, self.settings.max_dead_minimum, self.observation.dead_rates
            ),
            "coders": {
                label: {"kind": stage.kind, "coder": stage.payload_coder, "portable": stage.coder_proto}
                for label, stage in self.observation.stages.items()
            },
        }

    def _weaving(self) -> contextlib.AbstractContextManager[list[WeaveReport]]:
        keeps_keys = self.redaction is None
        gathers = not writes_at_once(self.pipeline)
        return weaving_as_asked(self.pipeline.options, self.observation.context, keeps_keys, gathers)

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


def checked_name(name: str | None) -> str:
    if name is None:
        return re.sub(r"[^A-Za-z0-9._-]+", "-", default_pipeline_name()).strip("-._")[:128] or "pipeline"
    if not isinstance(name, str) or PIPELINE_NAME.fullmatch(name) is None:
        raise UsageError(
            f"a pipeline cannot be named {name!r}: its name is a folder's in the store; "
            "use letters, digits, '.', '_' and '-', at most 128 of them"
        )
    return name


def _has_steps(label: str, kept: Iterable[str]) -> bool:
    return any(is_within(one, label) for one in kept)


def _is_ours(label: str) -> bool:
    return label.startswith(EVIDENCE_LABEL)
