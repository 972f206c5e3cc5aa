"""Evidence: rows written to one file per bundle, and the manifests that say which files count.

A file is written under a name of its own while the bundle runs and gets its last name when the bundle
ends; its manifest leaves as an element. Only what a committed manifest names counts, so a bundle that
is tried again doubles nothing, and a run that dies leaves the files of its finished bundles.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import apache_beam as beam
from apache_beam import typehints
from apache_beam.metrics import Metrics
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.dead_letters.evidence_file import EvidenceFile, reason_of, say_lost, write_index
from beam_obs.files.patience import PATIENCE_SECONDS, patiently
from beam_obs.files.whole_file import write_whole
from beam_obs.metrics import names
from beam_obs.records.errors import EvidenceNotKept
from beam_obs.records.ledger_rows import merged
from beam_obs.records.manifest import DEAD_LETTERS, Commit, Manifest, commit_content, short_hash
from beam_obs.records.run_context import RunContext
from beam_obs.wrapper.role import COMMIT, EVIDENCE, GATHER, Ours
from beam_obs.wrapper.stateless_dofn import StatelessDoFn
from beam_obs.wrapper.windowing_par_do import WindowingParDo

EVIDENCE_LABEL = "beam_obs evidence"
"""Begins the names of the steps that write and commit the evidence of a run."""

STREAMING_SECONDS = 10
"""How long a stream's rows and manifests are gathered before they are written."""

STREAMING_ROWS = 10_000
"""How many rows of a stream are gathered before they are written."""

_GLOBAL_WINDOW = GlobalWindow()


class OpenRowFile(Protocol):
    """An evidence file being written."""

    def write(self, row: Any) -> None:
        """Adds one row."""

    def write_all(self, rows: Sequence[Any]) -> None:
        """Adds several rows."""

    def close(self) -> Manifest:
        """Ends the file; the manifest's `file` is filled in by the caller."""

    def index(self) -> bytes:
        """Returns what is kept beside the file, so that readers need not read all of it; may be nothing."""


class WriteEvidence(StatelessDoFn):
    """Writes the rows of a bundle to one file and gives its manifest.

    Args:
      open_file: makes a `OpenRowFile` on an open binary file.
      folder: folder of the evidence, or the run whose folder it is.
      name: start of the files' names, e.g. ``dead_letters-parse``.
      extension: end of the files' names.
      may_be_lost: whether the pipeline goes on where a file cannot be written.
    """

    def __init__(
        self,
        open_file: Callable[[Any], OpenRowFile],
        folder: str | RunContext,
        name: str,
        extension: str,
        may_be_lost: bool = False,
    ) -> None:
        self._may_be_lost = may_be_lost
        self._open_file = open_file
        self._folder = folder
        self._name = name
        self._extension = extension

    def start_bundle(self) -> None:
        """Begins without a file: no rows, no file."""
        self._rows: OpenRowFile | None = None

    def process(self, row: Any) -> None:
        """Writes one row."""
        if self._rows is None:
            self._open()
        assert self._rows is not None
        self._rows.write(row)

    def write_all(self, rows: Sequence[Any]) -> None:
        """Writes several rows, at least one."""
        if self._rows is None:
            self._open()
        assert self._rows is not None
        self._rows.write_all(rows)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Gives the file its last name, and its manifest."""
        if self._rows is not None:
            manifest = self._rows.close()
            self._file.finish()
            name = self._path.rpartition("/")[2]
            index = write_index(self._path, self._rows.index())
            self._rows = None
            details = {**manifest.details, **self._file.told(), **index}
            manifest = dataclasses.replace(manifest, file=name, details=details)
            yield GlobalWindows.windowed_value(manifest.to_json())

    def _open(self) -> None:
        name = f"{self._name}-{os.urandom(6).hex()}{self._extension}"
        self._path = f"{_uri(self._folder)}/{name}"
        what = f"{self._name} of a bundle"
        self._file = EvidenceFile(self._path, what, self._may_be_lost, _patience(self._folder))
        self._rows = self._open_file(self._file)


_BUNDLE_BY_BUNDLE = ("DirectRunner", "SwitchingDirectRunner", "BundleBasedDirectRunner", "FnApiRunner")


def writes_at_once(pipeline: Any) -> bool:
    """Returns whether a stream's rows and manifests are to be written as they come.

    The direct runners do a stream bundle by bundle on this machine, where files cost nothing, and what waits
    in one when it is cancelled is lost, or fails it when the stream ends before the wait does. A step there
    gets only what finished bundles gave.
    """
    return type(pipeline.runner).__name__ in _BUNDLE_BY_BUNDLE


def write_now(rows: Any, writer: beam.DoFn, label: str) -> Any:
    """Returns the manifests of rows that are written as they come, in the global window.

    Args:
      rows: PCollection of rows.
      writer: gives the manifests of the rows of a bundle.
      label: of what writes them.
    """
    return globally(rows) | label >> beam.ParDo(writer).with_output_types(str)


class GatherEvidence(Ours):
    """Writes rows of a stream every few seconds, so that files are not tiny; gives their manifests.

    Rows of all kinds are gathered by one step: each that keeps state has bundles of its own, and engines ask
    it many times a second. It is by processing time in the global window: evidence is never late data. Takes
    PCollections of rows, as bytes under the key of their kind.

    Args:
      writers: by key, what gives the manifests of the rows of a bundle.
    """

    role = EVIDENCE

    def __init__(self, writers: Mapping[bytes, beam.DoFn]) -> None:
        super().__init__()
        self._writers = writers

    def expand(self, keyed: Any) -> Any:
        write = beam.ParDo(WriteGathered(self._writers)).with_output_types(str)
        return tuple(keyed) | "Flatten" >> beam.Flatten() | "Gather" >> _now_and_then() | "Write" >> write


class GatherOfRun(GatherEvidence):
    """The gather of a run, to which the weave brings the rows of its steps too."""

    role = GATHER


class WriteGathered(StatelessDoFn):
    """Gives manifests of rows that come in groups, by the writers of their keys.

    Args:
      writers: by key, what gives the manifests of the rows of a bundle.
    """

    def __init__(self, writers: Mapping[bytes, beam.DoFn]) -> None:
        self.writers = writers

    def start_bundle(self) -> None:
        """Begins with none."""
        self._begun: dict[bytes, beam.DoFn] = {}

    def process(self, keyed: tuple[bytes, Iterable[bytes]]) -> None:
        """Writes the rows of a group."""
        key, rows = keyed
        if key not in self._begun:
            self._begun[key] = self.writers[key]
            self._begun[key].start_bundle()
        write = self._begun[key].process
        for row in rows:
            write(row)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Gives the manifests of all."""
        for writer in self._begun.values():
            yield from writer.finish_bundle()


class PutUnderKey(StatelessDoFn):
    """Gives each row under a key, as it is gathered: in the global window, at a time within it.

    Names of files come with the maximal timestamp, which no window holds: a shuffle on Prism drops them.

    Args:
      key: of all rows.
    """

    def __init__(self, key: bytes = b"") -> None:
        self._key = key

    def process(self, row: Any, timestamp: Any = beam.DoFn.TimestampParam) -> list[WindowedValue]:
        """Takes one row."""
        return [self.under_key(row, timestamp)]

    def under_key(self, row: Any, timestamp: Any) -> WindowedValue:
        """Returns one row."""
        time = min(timestamp, _GLOBAL_WINDOW.max_timestamp())
        return WindowedValue((self._key, row), time, (_GLOBAL_WINDOW,))


def keyed(make: beam.DoFn, of_rows: Any = bytes) -> beam.ParDo:
    """Returns the step of a DoFn that gives rows as `PutUnderKey` does.

    Args:
      make: the DoFn.
      of_rows: type of the rows.
    """
    return WindowingParDo(make, Windowing(GlobalWindows())).with_output_types(typehints.KV[bytes, of_rows])


class CommitEvidence(Ours):
    """Writes the manifests of finished bundles to ``manifest-*.json`` of the folder.

    Manifests cross a shuffle first, so only those of committed bundles are written. In batch they all come at
    once, so that what the step commits last is all there is, however often an engine starts the job again.

    Args:
      folder: folder of the evidence, or the run whose folder it is.
      run: the run, where the folder is not its own.
      at_once: whether those of a stream are written one by one, without a shuffle.
    """

    role = EVIDENCE

    def __init__(
        self, folder: str | RunContext, run: RunContext | None = None, at_once: bool = False
    ) -> None:
        super().__init__()
        self._folder = folder
        self._at_once = at_once
        self._run = folder if isinstance(folder, RunContext) else run

    def expand(self, manifests: Any) -> Any:
        """Takes one PCollection of manifests as JSON text, or several of any windowing."""
        collections = manifests if isinstance(manifests, (list, tuple)) else [manifests]
        bounded = all(collection.is_bounded for collection in collections)
        every = tuple(globally(one, f"Globally {at}") for at, one in enumerate(collections))
        flat = every | "Flatten" >> beam.Flatten()
        if self._at_once and not bounded:
            return flat | "Write" >> beam.ParDo(WriteManifest(self._folder))
        under_one_key = flat | "Key" >> keyed(PutUnderKey(), str)
        shuffle = beam.GroupByKey() if bounded else _now_and_then()
        step = flat.pipeline._current_transform().full_label
        write = _WriteManifests(self._folder, self._run if bounded else None, step)
        return under_one_key | "Shuffle" >> shuffle | "Write" >> beam.ParDo(write)


class CommitOfRun(CommitEvidence):
    """The commit of a run, to which the weave brings the manifests of its steps too."""

    role = COMMIT


def commit_of_batch(folder: str | RunContext, step: str) -> beam.DoFn:
    """Returns what commits all manifests of a batch, which come as one group.

    Args:
      folder: folder of the evidence, or the run whose folder it is.
      step: full label of the commit.
    """
    return _WriteManifests(folder, folder if isinstance(folder, RunContext) else None, step)


def _now_and_then() -> Any:
    """Groups by key after some rows or seconds, and when the stream ends, where a trigger may not fire."""
    return beam.GroupIntoBatches(STREAMING_ROWS, max_buffering_duration_secs=STREAMING_SECONDS)


class _Committing(StatelessDoFn):
    """Writes files of manifests.

    Where one cannot be written the bundle fails if dead letters are among them; otherwise it is counted.
    """

    def __init__(self, folder: str | RunContext) -> None:
        self._folder = folder

    def _write(self, manifests: Iterable[str], commit: Commit | None) -> None:
        content = commit_content(manifests, commit)
        path = f"{_uri(self._folder)}/manifest-{short_hash(content)}.json"
        try:
            patiently(lambda: write_whole(path, content), path, _patience(self._folder))
        except Exception as error:
            if DEAD_LETTERS in (manifest["kind"] for manifest in json.loads(content)["manifests"]):
                raise EvidenceNotKept("manifests of dead letters", path, reason_of(error)) from error
            say_lost(path, reason_of(error))
            Metrics.counter(names.NAMESPACE, names.COMMITS_LOST).inc()


class WriteManifest(_Committing):
    """Commits the manifest of a bundle that has finished; a second try writes the same file.

    Args:
      folder: folder of the evidence, or the run whose folder it is.
    """

    def process(self, manifest: str) -> None:
        """Writes one manifest."""
        self._write([manifest], None)


class _WriteManifests(_Committing):
    def __init__(self, folder: str | RunContext, run: RunContext | None, step: str) -> None:
        super().__init__(folder)
        self._run = run
        self._step = step

    def process(self, keyed: tuple[bytes, Iterable[str]]) -> None:
        """Writes the manifests of a group.

        What takes the place of an earlier commit may have sums as one. Elsewhere a second try, which may get
        another group, is told from the first by the manifests themselves.
        """
        if self._run is not None and self._run.is_one_job:
            self._write(merged(keyed[1]), Commit.now(self._run.run, self._step))
        else:
            self._write(keyed[1], None)


def _uri(evidence: str | RunContext) -> str:
    """Returns the folder of evidence, without a slash at its end."""
    folder = evidence if isinstance(evidence, str) else evidence.folder
    assert folder is not None, "evidence is kept in a run's folder, and this pipeline has no store"
    return folder.rstrip("/")


def _patience(evidence: str | RunContext) -> float:
    """Returns how many seconds the server of a folder of evidence is waited for."""
    return PATIENCE_SECONDS if isinstance(evidence, str) else evidence.store_patience


def globally(pcoll: Any, label: str = "Globally") -> Any:
    """Returns a PCollection in the global window with the default trigger; itself where it is so already."""
    return pcoll if pcoll.windowing.is_default() else pcoll | label >> beam.WindowInto(GlobalWindows())


def slug(label: str) -> str:
    """Returns a label as a part of a file's name.

    >>> slug("clean/parse a row")
    'clean.parse-a-row'
    """
    short = re.sub(r"[^A-Za-z0-9_.-]+", "-", label.replace("/", ".")).strip("-") or "stage"
    return short if len(short) <= 80 else f"{short[:80]}-{short_hash(label.encode())}"
