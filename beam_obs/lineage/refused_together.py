"""Records that a read refused together, under one dead letter: the rest of a damaged block, a whole file."""

from __future__ import annotations

from beam_obs.lineage.answers import Fate
from beam_obs.lineage.run_evidence import RunEvidence
from beam_obs.records.block_position import block_position
from beam_obs.records.dead_letter import DeadLetter
from beam_obs.store.evidence import Standing
from beam_obs.store.source_partition import SourcePartition

_REST_OF_BLOCK = "beam_obs.CorruptBlock"
_REST_OF_FILE = "beam_obs.DamagedCompression"
_WHAT = {
    "beam_obs.EmptyFile": "the file was refused as a whole",
    "beam_obs.FileTooLarge": "the file was refused as a whole",
    "beam_obs.NotAContainer": "the file was refused as a whole",
    "beam_obs.WrongHeader": "the file was refused as a whole",
    _REST_OF_BLOCK: "it was refused with all that is behind the damage in its block",
    _REST_OF_FILE: "it was refused with all that is behind the damage in the file",
}
"""By the error of a read that is not about one record alone: what was refused."""


def refused_together(
    evidence: RunEvidence, partition: SourcePartition, position: int | None
) -> tuple[DeadLetter, Standing, str] | None:
    """Returns the dead letter that stands for a record of which there is none, and what it is of, in words.

    Args:
      evidence: of the run.
      partition: the file.
      position: of the record; None where it has none, as in a file of which nothing was read.
    """
    if not partition.dead or partition.uri is None:
        return None
    found = [
        (letter, standing)
        for letter, standing in evidence.dead_letters_of_types(partition.source, _WHAT)
        if letter.source_uri == partition.uri and _stands_for(letter, position)
    ]
    for error_type, what in _WHAT.items():
        for letter, standing in found:
            if letter.error_type == error_type:
                return letter, standing, what
    return None


def _stands_for(letter: DeadLetter, position: int | None) -> bool:
    if letter.error_type not in (_REST_OF_BLOCK, _REST_OF_FILE):
        return True
    if position is None or letter.position is None:
        return False
    if letter.error_type == _REST_OF_FILE:
        return position >= letter.position
    return _is_behind_in_block(position, letter.position)


def takes_in(evidence: RunEvidence, partition: SourcePartition, answer: Fate, position: int) -> bool:
    """Returns whether the record of an answer may have a line further down in it.

    One that the read itself refused was kept as it stands in the file, and so tells where it ends.
    """
    if answer.position is None or answer.into is None or answer.into.written or answer.into.aggregates:
        return True
    raw = [
        len(letter.payload)
        for letter, _ in evidence.dead_letters_of(answer.into.origin)
        if letter.stage == partition.source and letter.payload_coder == "raw" and not letter.redacted
    ]
    return not raw or answer.position + max(raw) > position


def _is_behind_in_block(position: int, damage: int) -> bool:
    asked, damaged = block_position(position), block_position(damage)
    return asked.block == damaged.block and asked.record >= damaged.record
