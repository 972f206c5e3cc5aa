"""Blocks of records on their way from the step that reads to the step that passes them on.

Two steps, because every single output of a splittable DoFn costs Beam 0.6 us more than one of a plain
DoFn (benchmarks/read.py); they are fused, so blocks stay Python objects.
"""

from __future__ import annotations

import builtins
import pickle
from collections.abc import Iterable, Sequence
from typing import Any

from apache_beam import coders
from apache_beam.pvalue import TaggedOutput

from beam_obs.metrics import live
from beam_obs.metrics.tally import Counts, Tally
from beam_obs.records.run_context import RunContext
from beam_obs.wrapper.refusal import DEAD_TAG, Refusal
from beam_obs.wrapper.stateless_dofn import StatelessDoFn


class ReadBlock:
    """Records read together.

    Args:
      records: good ones, in the file's order.
      refusals: bad ones.
      bytes: what they take in the file.
      origins: of the records, where the pipeline is woven: 16 bytes each.
    """

    __slots__ = ("bytes", "origins", "records", "refusals")

    def __init__(
        self,
        records: list[Any],
        refusals: list[Refusal],
        bytes: int,
        origins: Sequence[builtins.bytes] | None = None,
    ) -> None:
        self.records = records
        self.refusals = refusals
        self.bytes = bytes
        self.origins = origins

    def __reduce__(self) -> tuple[type[ReadBlock], tuple[Any, ...]]:
        return (ReadBlock, (self.records, self.refusals, self.bytes, self.origins))


class _ReadBlockCoder(coders.Coder):
    """Pickles; and tells the size of a block without encoding it, which Beam asks of some of them."""

    def encode(self, value: ReadBlock) -> bytes:
        return pickle.dumps(value, protocol=4)

    def decode(self, encoded: bytes) -> ReadBlock:
        block: ReadBlock = pickle.loads(encoded)
        return block

    def estimate_size(self, value: ReadBlock) -> int:
        return value.bytes

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type[ReadBlock]:
        return ReadBlock


coders.registry.register_coder(ReadBlock, _ReadBlockCoder)


class PassOn(StatelessDoFn):
    """Passes on the records of blocks, one by one, and counts them.

    Args:
      stage: full label of the read.
      context: the run.
    """

    passes_blocks = True
    """For the weave: records leave first and in order, so that blocks tell their origins."""

    def __init__(self, stage: str, context: RunContext) -> None:
        self._stage = stage
        self._context = context

    def setup(self) -> None:
        """Makes the counts."""
        self._out = self._dead = 0
        self._tally = Tally(lambda: Counts(taken=self._out + self._dead, out=self._out, dead=self._dead))
        live.register(self._context.run, self._stage, self._tally)

    def teardown(self) -> None:
        """Lets go of the counts."""
        live.retire(self._context.run, self._stage, self._tally)

    def process(self, block: ReadBlock) -> Iterable[Any]:
        """Gives the records, then the refusals."""
        self._out += len(block.records)
        self._dead += len(block.refusals)
        self._tally.flush()
        if block.refusals:
            return [*block.records, *(TaggedOutput(DEAD_TAG, refusal) for refusal in block.refusals)]
        return block.records
