"""The output index of sinks that write pandas frames: each row as the line that pandas writes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints.batch import BatchConverter
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.records.contributors import ORIGIN_BYTES
from beam_obs.records.lineage_rows import NOT_KNOWN
from beam_obs.records.origin import RANDOM_BITS, randomness
from beam_obs.records.record_content import output_digest
from beam_obs.wrapper.element_forms import PLAIN, ROWS, Ends, unpack
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

_ROWS_AT_ONCE = 1024


class RowLines:
    """Gives the lines that a method of a frame writes of its rows, without a header.

    Args:
      writer: name of the method, ``to_csv`` or ``to_json`` of lines.
      args: its arguments behind the file.
      kwargs: the same by name.
    """

    def __init__(self, writer: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._writer = writer
        self._args = args
        self._kwargs = {**kwargs, "header": False} if writer == "to_csv" else kwargs
        self._end = (kwargs.get("lineterminator") or "\n") if writer == "to_csv" else "\n"
        self._encoding = kwargs.get("encoding") or "utf-8"

    def __call__(self, frame: Any) -> list[bytes]:
        """Returns the line of each row."""
        lines = self._text(frame).split(self._end)
        if len(lines) != len(frame):
            # Values that hold line ends are lines of their own.
            lines = [self._text(frame.iloc[at : at + 1]) for at in range(len(frame))]
        return [line.encode(self._encoding) for line in lines]

    def _text(self, frame: Any) -> str:
        text: str = getattr(frame, self._writer)(None, *self._args, **self._kwargs)
        return text.removesuffix(self._end)


class FrameIndexDoFn(StatelessDoFn):
    """Gives rows of the output index for the frames that enter a sink, or for rows that it makes frames of,
    and the elements, plain. In the global window.

    Args:
      takes: form of the elements.
      lines: gives the lines of a frame.
      converter: makes a frame of rows; None where elements are frames.
      share: of the elements that are noted, decided by their origin.
    """

    def __init__(
        self,
        takes: str,
        lines: Callable[[Any], list[bytes]],
        converter: BatchConverter | None,
        share: float = 1.0,
    ) -> None:
        self._takes = takes
        self._lines = lines
        self._converter = converter
        self._least = int((1.0 - share) * 2**RANDOM_BITS)
        self._held: dict[Any, list[tuple[bytes, Any]]] = {}

    @property
    def ends(self) -> Ends:
        """The forms of what it takes and gives."""
        return Ends(self._takes, PLAIN)

    def start_bundle(self) -> None:
        self._held = {}

    def process(self, element: Any) -> Any:
        return self._noted(element, None)

    def finish_bundle(self) -> Iterator[Any]:
        for window in list(self._held):
            yield from self._given(window)

    def _noted(self, element: Any, window: Any) -> Any:
        provenance, value = unpack(self._takes, element)
        origin = provenance if len(provenance) == ORIGIN_BYTES else NOT_KNOWN
        if self._least and randomness(origin) < self._least:
            return (value,)
        held = self._held.setdefault(window, [])
        held.append((origin, value))
        if self._converter is not None and len(held) < _ROWS_AT_ONCE:
            return (value,)
        return (*self._given(window), value)

    def _given(self, window: Any) -> Iterator[Any]:
        held = self._held.pop(window)
        content = b"".join(
            output_digest(line) + origin for origin, line in self._lines_of(held) if line is not None
        )
        if not content:
            return
        if window is None:
            windowed = GlobalWindows.windowed_value(content)
        else:
            windowed = WindowedValue(content, window.max_timestamp(), (window,))
        yield TaggedOutput(ROWS, windowed)

    def _lines_of(self, held: list[tuple[bytes, Any]]) -> Iterable[tuple[bytes, bytes | None]]:
        if self._converter is None:
            return ((origin, line) for origin, frame in held for line in self._tried(frame))
        rows = [row for _, row in held]
        lines: list[bytes | None] = list(self._tried(self._converter, rows))
        if len(lines) != len(rows):
            lines = [next(iter(self._tried(self._converter, [row])), None) for row in rows]
        return zip((origin for origin, _ in held), lines, strict=True)

    def _tried(self, frame: Any, rows: Any = None) -> list[bytes]:
        """Returns the lines of a frame, or of rows; none where the sink will fail on it too."""
        try:
            return self._lines(frame if rows is None else frame.produce_batch(rows))
        except Exception:
            return []


class WindowedFrameIndexDoFn(FrameIndexDoFn):
    """The same in other windows, of which each row of the index is to know its own."""

    def process(self, element: Any, window: Any = beam.DoFn.WindowParam) -> Any:
        return self._noted(element, window)
