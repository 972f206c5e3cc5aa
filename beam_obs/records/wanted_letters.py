"""Which dead letters of a run are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from beam_obs.records.dead_letter import DeadLetter


class WantedLetters(NamedTuple):
    """The dead letters that have all of this; by default all there are.

    Args:
      stage: full label of the stage that refused them.
      fingerprint: the fingerprint, or its beginning.
      error_types: full names of the classes of their errors.
      origin: 32 hex digits.
      own_id: what their ids have behind that of the run, or its beginning.
      text: what the refused record has in it: as people read it, or among its own bytes as UTF-8.
      stages: full labels of stages of which any refused them.

    >>> WantedLetters(fingerprint="ab", own_id="53fc.1").texts
    (b'ab', b'.53fc.1')
    """

    stage: str | None = None
    fingerprint: str = ""
    error_types: tuple[str, ...] | None = None
    origin: str | None = None
    own_id: str = ""
    text: str = ""
    stages: tuple[str, ...] | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is asked of them."""
        return self == ALL_LETTERS

    def has(self, letter: DeadLetter) -> bool:
        """Whether a letter is one of them."""
        return (
            self.is_of_stage(letter.stage)
            and letter.fingerprint.startswith(self.fingerprint)
            and (self.error_types is None or letter.error_type in self.error_types)
            and self.origin in (None, letter.origin)
            and letter.id.partition(".")[2].startswith(self.own_id)
            and (self.text in letter.payload_text or _encoded(self.text) in letter.payload)
        )

    def is_of_stage(self, label: str) -> bool:
        """Whether letters of a stage may be among them."""
        return self.stage in (None, label) and (self.stages is None or label in self.stages)

    @property
    def texts(self) -> tuple[bytes, ...]:
        """What the bytes of each of them have somewhere, encoded as UTF-8."""
        own_id = f".{self.own_id}" if self.own_id else ""
        found = (self.stage or "", self.fingerprint, self.origin or "", own_id, self.text)
        return tuple(_encoded(text) for text in found if text)

    def may_be_in(self, data: bytes) -> bool:
        """Whether any of them may be among letters that are encoded so, one behind the other."""
        return all(text in data for text in self.texts) and all(
            any(_encoded(name) in data for name in names)
            for names in (self.error_types, self.stages)
            if names is not None
        )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


ALL_LETTERS = WantedLetters()

Rows = Callable[[int, int], bool]
"""Whether wanted letters may be among the rows from a first up to another, which is left out."""
