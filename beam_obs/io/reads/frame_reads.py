"""Beam's own reads of files as pandas frames, woven: each frame has the origin of its file.

These are ``ReadFromCsv``, ``ReadFromJson`` and the reads of the DataFrame API. pandas does not tell where in
a file a row lay, and a frame may be worked on before it is taken apart: the file is what can be known.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms import core

from beam_obs.beam_private import RestrictionDoFnParam
from beam_obs.files.file_state import FileState, state_of
from beam_obs.files.file_version import changed_while_read, file_version
from beam_obs.files.found_files import fixed_part
from beam_obs.records.contributors import UNKNOWN
from beam_obs.records.known_partitions import note_partition
from beam_obs.records.manifest import Manifest
from beam_obs.records.origin import Partition
from beam_obs.wrapper.element_forms import PLAIN, ROWS, Ends, pack
from beam_obs.wrapper.stand_in_dofn import innermost
from beam_obs.wrapper.untyped import Untyped

_WHOLE_FILE = 0


class FrameRead(Untyped, beam.DoFn):
    """Reads ranges of files as Beam's own DoFn does, and gives each frame the origin of its file.

    Args:
      label: full label of the read.
      pattern: of its files, as the pipeline names it; None where that is not known.
      gives: form of its frames.
      reader: Beam's own DoFn, which is its own provider of restrictions, or one of a Stage around it.
    """

    def __init__(self, label: str, pattern: str | None, gives: str, reader: Any) -> None:
        self._label = label
        self._pattern = pattern
        self._gives = gives
        self._reader = reader

    def setup(self) -> None:
        """Sets Beam's DoFn up."""
        self._reader.setup()

    def start_bundle(self) -> None:
        """Starts its bundle."""
        self._reader.start_bundle()

    def finish_bundle(self) -> None:
        """Ends its bundle, which gives nothing."""
        self._reader.finish_bundle()

    def teardown(self) -> None:
        """Tears it down."""
        self._reader.teardown()

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(PLAIN, self._gives)

    def _inspect_process(self) -> Any:
        names, defaults = core.get_function_arguments(self._reader, "process")
        provided = core.DoFn.RestrictionParam(innermost(self._reader))
        return names, [
            provided if isinstance(default, RestrictionDoFnParam) else default for default in defaults
        ]

    def process(self, file: Any, path_indices: Any, tracker: Any) -> Iterator[Any]:
        """Gives the frames of one range of a file, then the account of what was read."""
        path: str = file.metadata.path
        state, start = state_of(path), tracker.current_restriction().start
        partition = None if state is None else self._partition(path, path_indices, state)
        origin = UNKNOWN if partition is None else partition.origin(_WHOLE_FILE)
        rows = 0
        for frame in self._reader.process(file, path_indices, tracker):
            rows += len(frame)
            yield pack(self._gives, origin, frame)
        if partition is not None and state is not None:
            account = self._manifest(
                path, path_indices, partition, state, rows, start, tracker.current_restriction().stop
            )
            yield TaggedOutput(ROWS, account.to_json().encode())

    def _partition(self, path: str, paths: Iterable[str], state: FileState) -> Partition:
        folder = fixed_part(self._pattern_of(paths))
        name = path[len(folder) :] if path.startswith(folder) else path
        partition = Partition(name, file_version(path, state))
        note_partition(partition, path, source=self._label, positions="files")
        return partition

    def _pattern_of(self, paths: Iterable[str]) -> str:
        """Returns the pattern of the files, or the folder that all of them are in."""
        if self._pattern is not None:
            return self._pattern
        first, last = min(paths), max(paths)
        if first == last:
            return first
        common = "".join(one for one, _ in itertools.takewhile(_are_equal, zip(first, last, strict=False)))
        return f"{fixed_part(common)}*"

    def _manifest(
        self,
        path: str,
        paths: Iterable[str],
        partition: Partition,
        state: FileState,
        rows: int,
        start: int,
        stop: int,
    ) -> Manifest:
        whole = start == 0 and stop >= state.size
        place = path if "://" in path else os.path.abspath(path)
        return Manifest(
            kind="inputs",
            stage=self._label,
            file=place if whole else f"{place}#bytes={start}-{stop}",
            count=rows,
            details={
                "path": place,
                "name": partition.name,
                "version": partition.version,
                "partition": f"{partition.code:08x}",
                "size": state.size,
                "start": start,
                "stop": stop,
                "bytes": stop - start,
                "dead": 0,
                "positions": "files",
                "format": f"pandas {getattr(self._reader.reader, '__name__', self._reader.reader)}",
                "pattern": self._pattern_of(paths),
            }
            | changed_while_read(path, state),
        )


def _are_equal(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]


class UnsplitFrameRead(FrameRead):
    """Reads each file in one go, for runners that cannot run splittable DoFns of several outputs."""

    def _inspect_process(self) -> Any:
        names, defaults = core.get_function_arguments(self._reader, "process")
        at = next(at for at, default in enumerate(defaults) if isinstance(default, RestrictionDoFnParam))
        del names[len(names) - len(defaults) + at], defaults[at]
        return names, defaults

    def process(self, file: Any, path_indices: Any) -> Iterator[Any]:  # type: ignore[override]
        """Gives the frames of a file, then the account of what was read."""
        whole = self._reader.create_tracker(self._reader.initial_restriction(file))
        yield from super().process(file, path_indices, whole)
