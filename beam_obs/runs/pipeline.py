"""The observed pipeline: a `beam.Pipeline` each of whose runs is kept in a store."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

import apache_beam as beam

from beam_obs.runs.observer import Observer
from beam_obs.store.store import Store, given_root
from beam_obs.wrapper.redaction import Redact


class Pipeline(beam.Pipeline):
    """A `beam.Pipeline`, same arguments in the same order, whose runs are kept and reported.

    Args:
      runner: a runner, or the name of one.
      options: the pipeline's options, among them `ObservabilityOptions`.
      argv: options as a list of arguments, where `options` is not given.
      display_data: static data shown with the pipeline by its runner.
      name: name of the pipeline in the store, unless ``--obs_pipeline`` says another; by default that
        of the program.
      store: root of the store, or a `Store`, unless ``--obs_store`` says another; by default the variable
        ``BEAM_OBS_STORE``, else what ``beam_obs.toml`` says, else ``.beam_obs``.
      redact: what is left out of dead letters before they leave the worker: names of fields, at any depth,
        or a function that gives a record's redacted form; with ``--obs_redact`` both. See
        docs/runs-and-store.md.

    Raises:
      UsageError: an option, `name`, `store` or `redact` is wrong.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with obs.Pipeline("FnApiRunner", argv=["--obs_report=off"], name="example", store="runs") as p:
    ...     _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int))
    >>> obs.Store("runs").find("example@latest").status_text
    'done, 1 dead'
    """

    _observes_itself = True

    def __init__(
        self,
        runner: Any = None,
        options: Any = None,
        argv: list[str] | None = None,
        display_data: dict[str, Any] | None = None,
        *,
        name: str | None = None,
        store: Store | str | os.PathLike[str] | None = None,
        redact: Redact | None = None,
    ) -> None:
        super().__init__(runner, options, argv, display_data)
        self._beam_obs_observer = Observer(self, name, given_root(store), redact)

    def run(self, test_runner_api: Any = "AUTO") -> Any:
        """Runs the pipeline as a run of its own; see `beam.Pipeline.run`.

        Raises:
          StoreOutOfReach: the runner's workers cannot reach the store; nothing was started.
          StoreNotWritable: the store cannot be written; nothing was started.
          DeadRateExceeded: the job has ended, and a stage refused more than it may.
        """
        return self._beam_obs_observer.run(lambda: super(Pipeline, self).run(test_runner_api))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if exc_val is not None:
            self._beam_obs_observer.abandoned(exc_val)
        super().__exit__(exc_type, exc_val, exc_tb)
