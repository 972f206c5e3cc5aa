"""Which records a run took that was a replay: those of dead letters, or some of a source."""

from __future__ import annotations

from beam_obs.records.origin import Partition
from beam_obs.records.replayed import SNAPSHOT, letters_label
from beam_obs.records.wanted_places import WantedPlaces
from beam_obs.store.letter_files import LetterFile
from beam_obs.store.run_record import RunRecord
from beam_obs.store.store import Store


def is_replay(record: RunRecord) -> bool:
    """Returns whether a run was a replay of records of another."""
    return bool(record.start.get("parent_run"))


class TakenRecords:
    """The records that a replay took.

    Args:
      store: the store.
      record: the run, which was a replay.

    Attributes:
      problem: why they are not all known; empty where they are.
    """

    def __init__(self, store: Store, record: RunRecord) -> None:
        told = record.start.get("replay") or {}
        self.problem = ""
        self._labels: dict[str, set[str]] = {}
        self._wanted = [
            WantedPlaces(
                Partition(one["name"], one["version"], one["located"], one["wide"]),
                tuple((span[0], span[-1]) for span in one["ranges"] if span),
            )
            for one in told.get("records") or ()
        ]
        if not told.get("letters"):
            return
        content = store.files.read(f"{record.folder}/{SNAPSHOT}")
        if content is None:
            self.problem = f"run {record.id}: {SNAPSHOT}, which says what it replayed, is not there"
            return
        for letter in LetterFile.of_content(SNAPSHOT, content):
            if letter.origin is not None:
                self._labels.setdefault(letter.origin, set()).add(letters_label(letter.stage))

    def has(self, origin: bytes) -> bool:
        """Returns whether a record of this origin is among them."""
        return origin.hex() in self._labels or any(one.holds(origin) for one in self._wanted)

    def given_by(self, origin: bytes) -> str | None:
        """Returns the label of the step that gave the record in place of its source; None where none did, or
        several."""
        labels = self._labels.get(origin.hex(), ())
        return next(iter(labels)) if len(labels) == 1 else None
