"""What all writes of files have in common: records are encoded by a stage, then written by Beam's sink.

A record is encoded once: what cannot be is a dead letter of the write, and the bytes of the rest are
what the sink writes and the digest is made of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.io import filebasedsink
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.io.dead_letter_output import DeadLetterOutput
from beam_obs.io.writes.counted_files import NameFiles, WrittenFile
from beam_obs.io.writes.stream_files import WriteStreamFiles, manifests_of
from beam_obs.records.given import given_flag, given_number, given_path, is_known_later
from beam_obs.records.lineage_attributes import Attributes
from beam_obs.records.run_context import (
    DatasetDescription,
    Observation,
    observation_of,
)
from beam_obs.wrapper.redaction import Redact
from beam_obs.wrapper.role import WRITE
from beam_obs.wrapper.windowing_par_do import is_in_one_window


class FileWrite(DeadLetterOutput):
    """Writes a PCollection to files.

    Args:
      file_path_prefix: as Beam's sinks take it, or a path-like object.
      numbers: arguments that are whole numbers, by name; those that are None are left out.
      dead_letters: a home for the dead letters.
      redact: what stays out of them, as for a `Stage`.
      stamp: whether records get their lineage attributes; None for yes where the pipeline is woven and
        records have room.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.
    """

    role = WRITE

    def __init__(
        self,
        file_path_prefix: Any,
        dead_letters: DeadLetters | ErrorHandler | None,
        redact: Redact | None,
        stamp: bool | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
        **numbers: int | None,
    ) -> None:
        super().__init__(dead_letters, redact, max_dead_rate, max_dead_minimum)
        if not is_known_later(file_path_prefix):
            file_path_prefix = given_path(
                file_path_prefix, "file_path_prefix", "'gs://bucket/trips'", "the beginning of a path"
            )
        for argument, number in numbers.items():
            if number is not None:
                given_number(number, argument, 0 if argument == "num_shards" else 1)
        self._prefix = file_path_prefix
        self._stamp = given_stamp(stamp)

    def expand(self, pcoll: Any) -> Any:
        """Applies the write; gives the names of the files."""
        pipeline = pcoll.pipeline
        label = pipeline._current_transform().full_label
        self._check_pcollection(pcoll, label)
        observation = observation_of(pipeline)
        attributes = stamps_of(observation, label, self._stamp, self._has_room())
        encode = beam.Map(self._encoder(pcoll, attributes)).with_output_types(bytes)
        encoded, letters = self._tried(pcoll, label, encode, self._as_output)
        if observation.observed:
            # In a stream what is late at a sink is dropped, and in no file.
            notes_files = pcoll.is_bounded or is_in_one_window(pcoll.windowing)
            described = DatasetDescription(
                self.label, str(self._prefix), label, notes_files, may_drop=not pcoll.is_bounded
            )
            observation.outputs.append(described)
        sink = _sharded_by_window(self._sink(pcoll, attributes), pcoll)
        stage = label if observation.observed else None
        if pcoll.is_bounded:
            files = encoded | "Write" >> beam.io.Write(sink)
            # Names bring their accounts with them, which Beam's coder for texts would leave behind.
            files.element_type = WrittenFile
            names = files | "Names" >> beam.ParDo(NameFiles(stage)).with_output_types(str)
        else:
            names = encoded | "Write" >> WriteStreamFiles(sink, stage)
        if observation.observed:
            observation.evidence.append(manifests_of(names))
        return self._with_letters(names, letters, label) if self._as_output else names

    def _has_room(self) -> bool:
        """Returns whether records have room for lineage attributes, as far as it can be known."""
        return False

    def _encoder(self, pcoll: Any, attributes: Attributes | None) -> Callable[[Any], bytes]:
        """Returns what encodes one record of `pcoll`, with lineage attributes unless they are None."""
        raise NotImplementedError

    def _sink(self, pcoll: Any, attributes: Attributes | None) -> Any:
        """Returns the sink, a `CountedSink`."""
        raise NotImplementedError


def given_stamp(stamp: bool | None) -> bool | None:
    """Returns what a user says of the stamp of a write.

    Raises:
      UsageError: it is neither True nor False, nor left to the write.
    """
    return None if stamp is None else given_flag(stamp, "stamp")


def stamps_of(observation: Observation, label: str, asked: bool | None, has_room: bool) -> Attributes | None:
    """Returns what gives the records of a sink their lineage attributes; None where they get none.

    Args:
      observation: of the pipeline.
      label: of the sink.
      asked: what the user says; None for yes where the pipeline is woven and records have room.
      has_room: whether they have.
    """
    if asked is None:
        asked = observation.observed and observation.lineage is True and has_room
    if not asked:
        return None
    observation.stamped.add(label)
    return Attributes(observation.context)


def _sharded_by_window(sink: Any, pcoll: Any) -> Any:
    """As Beam's own writes do: files of a stream have their window in their names."""
    if not pcoll.is_bounded and sink.shard_name_template == filebasedsink.DEFAULT_SHARD_NAME_TEMPLATE:
        sink.shard_name_template = filebasedsink.DEFAULT_WINDOW_SHARD_NAME_TEMPLATE
        sink.shard_name_format = sink._template_to_format(sink.shard_name_template)
        sink.shard_name_glob_format = sink._template_to_glob_format(sink.shard_name_template)
    return sink
