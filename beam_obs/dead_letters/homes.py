"""Homes of dead letters: what stages refuse, gathered for one sink.

    with beam.Pipeline() as p:
        with obs.DeadLetters("gs://bucket/dead") as dead:
            p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)

In batch each stage has a writer of its own fused behind it, so refused records are never materialised; only
the manifests of the files written are brought together when the block ends. Those of a stream are gathered
by one step for all stages of a home.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pickle
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.dead_letters.dead_letter_files import AvroRows, JsonRows
from beam_obs.dead_letters.dead_letter_format import FormatDeadLetters
from beam_obs.dead_letters.evidence_writer import (
    EVIDENCE_LABEL,
    CommitEvidence,
    GatherEvidence,
    GatherOfRun,
    PutUnderKey,
    WriteEvidence,
    globally,
    keyed,
    slug,
    write_now,
    writes_at_once,
)
from beam_obs.dead_letters.foreign_failures import ReadForeignFailures, refused_coder, step_of
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_path
from beam_obs.records.run_context import RunContext, observation_of
from beam_obs.wrapper.redaction import redaction_within
from beam_obs.wrapper.refusal import Refusal
from beam_obs.wrapper.role import EVIDENCE, Ours
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

_WAITING_MOST = 100
_WAITING_BYTES = 1 << 20
"""How many refusals, and bytes of what was refused, wait to be written."""


@dataclasses.dataclass(frozen=True)
class AvroFiles:
    """Dead letters as Avro files in a folder of any Beam filesystem.

    Args:
      folder: path or URI of the folder, as text or path-like.

    Raises:
      UsageError: `folder` is no path.

    >>> AvroFiles("gs://bucket/dead").folder
    'gs://bucket/dead'
    """

    folder: str | os.PathLike[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", given_path(self.folder, "folder", "'gs://bucket/dead'"))


@dataclasses.dataclass(frozen=True)
class JsonLines:
    """Dead letters as files of JSON lines in a folder of any Beam filesystem.

    Args:
      folder: path or URI of the folder, as text or path-like.

    Raises:
      UsageError: `folder` is no path.

    >>> import apache_beam as beam, glob, json
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p, obs.DeadLetters(obs.JsonLines("dead")) as dead:
    ...     _ = p | beam.Create(["x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
    >>> [json.loads(open(name).read())["payload_text"] for name in glob.glob("dead/*.jsonl")]
    ['x']
    """

    folder: str | os.PathLike[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", given_path(self.folder, "folder", "'gs://bucket/dead'"))


class DeadLetters:
    """A home for the dead letters of any number of stages of one pipeline.

    Args:
      sink: a folder (Avro files), `AvroFiles`, `JsonLines`, or any PTransform that takes a
        PCollection of `DeadLetter`.
      label: label of what is added to the pipeline; needed where a pipeline has several homes.

    Raises:
      UsageError: the sink is none of these, or a stage was given this home after its block had ended.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> with beam.Pipeline("DirectRunner") as p, obs.DeadLetters("dead") as dead:
    ...     _ = p | beam.Create(["1", "x"]) | "parse" >> obs.Stage(beam.Map(int), dead_letters=dead)
    >>> [letter.payload_text for letter in obs.read_dead_letters("dead")]
    ['x']
    """

    def __init__(
        self,
        sink: str | os.PathLike[str] | AvroFiles | JsonLines | beam.PTransform = "dead_letters",
        *,
        label: str = "DeadLetters",
    ) -> None:
        if isinstance(sink, (str, os.PathLike)):
            sink = AvroFiles(sink)
        if not isinstance(sink, (AvroFiles, JsonLines, beam.PTransform, RunContext)):
            raise UsageError(
                f"obs.DeadLetters got {sink!r} as its sink; give a folder, obs.AvroFiles(folder), "
                "obs.JsonLines(folder) or a PTransform"
            )
        if not isinstance(label, str) or not label:
            raise UsageError(f"obs.DeadLetters got label={label!r}: give a text")
        self._sink: Any = sink
        self._label = label
        self._collected: list[Any] = []
        self._gathered: list[Any] = []
        self._writers: dict[bytes, beam.DoFn] = {}
        self._pipeline: beam.Pipeline | None = None
        self._closed = False
        self.result: Any = None
        """What the sink gave when the block ended; None where no stage used this home."""

    @classmethod
    def of_run(cls, context: RunContext) -> DeadLetters:
        """Returns the home in the store of a run; its manifests are committed with the run's."""
        return cls(context, label=EVIDENCE_LABEL)

    def __enter__(self) -> DeadLetters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def add(self, refusals: Any, stage: str, context: RunContext) -> Any:
        """Adds what a step refused; called by the step when it is expanded.

        Args:
          refusals: PCollection of `Refusal`.
          stage: full label of the step.
          context: the run.
        """
        if self._closed:
            raise UsageError(
                f"stage {stage!r} was given an obs.DeadLetters whose `with` block has ended: "
                "apply the stage inside it"
            )
        if self._pipeline not in (None, refusals.pipeline):
            raise UsageError(f"stage {stage!r} was given an obs.DeadLetters that belongs to another pipeline")
        if self._pipeline is None:
            self._pipeline = refusals.pipeline
            # Beam refuses to run a pipeline whose error handlers are still open.
            self._pipeline._error_handlers.append(self)
        formatter = FormatDeadLetters(stage, context)
        if isinstance(self._sink, beam.PTransform):
            letters = refusals | "Format" >> beam.ParDo(formatter).with_output_types(DeadLetter)
            collected = globally(letters)
        elif not refusals.is_bounded and not writes_at_once(refusals.pipeline):
            key = f"dead letters of {stage}".encode()
            self._writers[key] = _WriteEncoded(self._writer(stage))
            rows = refusals | "Key" >> keyed(_FormatUnderKey(formatter, key))
            self._gathered.append(rows)
            return rows
        elif not (refusals.is_bounded and refusals.windowing.is_default()):
            letters = refusals | "Format" >> beam.ParDo(formatter).with_output_types(DeadLetter)
            collected = write_now(letters, self._writer(stage), "Write")
        else:
            write = _FormatAndWrite(formatter, self._writer(stage))
            collected = refusals | "Write" >> beam.ParDo(write).with_output_types(str)
        self._collected.append(collected)
        return collected

    def add_error_pcollection(self, failures: Any) -> None:
        """Adds what Beam's own error handling refused: this home can be given where Beam takes an
        `ErrorHandler`, and failures of asgarde can be given here.

        Args:
          failures: PCollection of Beam's ``(element, (class, repr, traceback))``, of asgarde's `Failure`,
            or of anything else that a Beam IO gives to an error handler.
        """
        step = step_of(failures)
        observation = observation_of(failures.pipeline)
        refusals = failures | f"Read failures of {step.replace('/', '.')}" >> beam.ParDo(
            ReadForeignFailures(step, refused_coder(failures), redaction_within(observation))
        )
        keep = KeepRefusals(self, step, observation.context)
        _ = refusals | f"{self._label} of {step.replace('/', '.')}" >> keep

    def output(self) -> Any:
        """Returns `result`, as Beam's `ErrorHandler` does."""
        if not self._closed:
            raise UsageError("an obs.DeadLetters has its output when its `with` block has ended")
        return self.result

    def close(self) -> None:
        """Brings together what the stages refused and applies the sink; does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        is_of_run = isinstance(self._sink, RunContext)
        if self._gathered:
            label = _unused_label(self._pipeline, f"{self._label} gathered")
            gather = (GatherOfRun if is_of_run else GatherEvidence)(self._writers)
            self._collected.append(tuple(self._gathered) | label >> gather)
        if not self._collected or is_of_run:
            return
        label = _unused_label(self._pipeline, self._label)
        if isinstance(self._sink, beam.PTransform):
            self.result = tuple(self._collected) | label >> _FlattenInto(self._sink)
        else:
            observation = observation_of(self._pipeline)
            # A plain pipeline may be run twice under the id that it was built with.
            run = observation.context if observation.observed else None
            commit = CommitEvidence(self._sink.folder, run, writes_at_once(self._pipeline))
            self.result = tuple(self._collected) | label >> commit

    @property
    def collected(self) -> list[Any]:
        """What the stages added: PCollections of manifests as JSON text, or of dead letters."""
        return list(self._collected)

    def verify_closed(self) -> None:
        """Raises where the block has not ended; Beam calls it before it runs a pipeline."""
        if not self._closed:
            raise RuntimeError(
                "an obs.DeadLetters is still open: its `with` block must end before the pipeline runs "
                "(put it inside `with beam.Pipeline()`)"
            )

    def _writer(self, stage: str) -> WriteEvidence:
        sink = self._sink
        rows, extension = (JsonRows, ".jsonl") if isinstance(sink, JsonLines) else (AvroRows, ".avro")
        folder = sink if isinstance(sink, RunContext) else sink.folder
        return WriteEvidence(
            functools.partial(rows, stage=stage), folder, f"dead_letters-{slug(stage)}", extension
        )


class KeepRefusals(Ours):
    """Brings the refusals of a step to a home.

    Args:
      home: the home.
      step: full label of the step.
      context: the run.
    """

    role = EVIDENCE

    def __init__(self, home: DeadLetters, step: str, context: RunContext) -> None:
        super().__init__()
        self._home = home
        self._step = step
        self._context = context

    def expand(self, refusals: Any) -> Any:
        """Gives what the home made of them."""
        return self._home.add(refusals, self._step, self._context)


class _FormatUnderKey(PutUnderKey):
    """Gives the letters of a stream as they are gathered: encoded once, whatever they cross."""

    def __init__(self, formatter: FormatDeadLetters, key: bytes) -> None:
        super().__init__(key)
        self._formatter = formatter

    def start_bundle(self) -> None:
        self._formatter.start_bundle()

    def process(
        self,
        refusal: Refusal,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,  # so that Beam calls it for each window
        pane: Any = beam.DoFn.PaneInfoParam,
    ) -> list[WindowedValue]:
        letter = self._formatter.letter_of(refusal, timestamp.micros, window, pane)
        return [self.under_key(pickle.dumps(tuple(letter)), timestamp)]

    def finish_bundle(self) -> None:
        self._formatter.finish_bundle()


class _WriteEncoded(StatelessDoFn):
    """Writes letters that `_FormatUnderKey` gave."""

    def __init__(self, writer: WriteEvidence) -> None:
        self._writer = writer

    def start_bundle(self) -> None:
        self._writer.start_bundle()

    def process(self, row: bytes) -> None:
        self._writer.process(DeadLetter(*pickle.loads(row)))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        return self._writer.finish_bundle()


class _FormatAndWrite(StatelessDoFn):
    """Both in one step: each step of a pipeline costs time when it is built and started.

    Some are written together, which takes a fifth less (`benchmarks/dead.py`): code that runs again at once
    is faster. Nothing is lost by it, since a file counts only when its bundle has finished.
    """

    def __init__(self, formatter: FormatDeadLetters, writer: WriteEvidence) -> None:
        self._formatter = formatter
        self._writer = writer

    def start_bundle(self) -> None:
        self._formatter.start_bundle()
        self._writer.start_bundle()
        self._waiting: list[WindowedValue] = []
        self._bytes = 0

    def process(self, refusal: Refusal, windowed: Any = beam.DoFn.WindowedValueParam) -> None:
        # Time, window and pane one by one cost 5 us more (`benchmarks/dead.py`).
        self._waiting.append(windowed)
        self._bytes += len(refusal.payload)
        if len(self._waiting) == _WAITING_MOST or self._bytes > _WAITING_BYTES:
            self._write()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._write()
        self._formatter.finish_bundle()
        return self._writer.finish_bundle()

    def _write(self) -> None:
        if not self._waiting:
            return
        letter_of = self._formatter.letter_of
        letters = []
        for windowed in self._waiting:
            (window,) = windowed.windows  # the step has but one
            letters.append(letter_of(windowed.value, windowed.timestamp_micros, window, windowed.pane_info))
        self._writer.write_all(letters)
        self._waiting.clear()
        self._bytes = 0


class _FlattenInto(Ours):
    role = EVIDENCE

    def __init__(self, sink: beam.PTransform) -> None:
        super().__init__()
        self._sink = sink

    def expand(self, letters: Any) -> Any:
        return letters | "Flatten" >> beam.Flatten() | "Sink" >> self._sink


def _unused_label(pipeline: Any, label: str) -> str:
    """Several homes of one label are numbered in the order in which they end."""
    number, found = 1, label
    while found in pipeline.applied_labels:
        number += 1
        found = f"{label} {number}"
    return found
