"""Rows of evidence that a step of the weave's own makes: they leave it, or it writes them and their manifest
leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apache_beam.pvalue import TaggedOutput

from beam_obs.woven.tallying import Tallying
from beam_obs.wrapper.element_forms import ROWS


class WritingRows(Tallying):
    """Begins and ends what writes rows, beside the DoFn's class.

    Attributes:
      writer: the DoFn that writes them; None where they leave by the output `ROWS`.
    """

    writer: Any = None

    def start_bundle(self) -> None:
        super().start_bundle()
        if self.writer is not None:
            self.writer.start_bundle()

    def finish_bundle(self) -> Iterator[Any]:
        if self.writer is not None:
            for manifest in self.writer.finish_bundle():
                yield TaggedOutput(ROWS, manifest)
        yield from super().finish_bundle()

    def with_row(self, row: bytes | None, packed: Any) -> list[Any]:
        """Returns what is given for an element, of which there may be a row."""
        if row is None:
            return [packed]
        if self.writer is None:
            return [TaggedOutput(ROWS, row), packed]
        self.writer.process(row)
        return [packed]
