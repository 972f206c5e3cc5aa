"""What all reads of files have in common as PTransforms: pattern, homes of dead letters, manifests."""

from __future__ import annotations

import copy
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.pvalue import PBegin
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner, SwitchingDirectRunner
from apache_beam.transforms.error_handling import ErrorHandler
from typing_extensions import Self

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.dead_letters.refusal_homes import RefusalHomes
from beam_obs.files.decompression import check_compression
from beam_obs.files.found_files import FoundFile, NoFilesFound, checked_pattern, find_files
from beam_obs.io.dead_letter_output import DeadLetterOutput
from beam_obs.io.lines.read_lines import ReadRecords, RecordFormat
from beam_obs.io.reads.arriving_files import ArrivingFiles, Looks
from beam_obs.io.reads.read_blocks import PassOn, ReadBlock
from beam_obs.io.reads.read_ranges import EVIDENCE_TAG, ReadSettings, ReadUnsplit
from beam_obs.metrics.names import INNER_LEAF
from beam_obs.records.bad_input import DuplicateColumns
from beam_obs.records.errors import UsageError
from beam_obs.records.given import given_flag, given_number
from beam_obs.records.run_context import DatasetDescription, StageDescription, observation_of
from beam_obs.records.wanted_places import WantedPlaces
from beam_obs.wrapper.redaction import Redact, redaction_within
from beam_obs.wrapper.role import READ
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

_LOOKED_AT = 8
"""Files whose columns are looked at, at most, when the pipeline is built: mostly the first tells enough."""

ON_BAD_FILE = ("dead_letter", "fail")


class FileRead(DeadLetterOutput):
    """Reads the files of a pattern.

    Args:
      file_pattern: path or pattern on any Beam filesystem.
      min_bundle_size: bytes; no range to begin with is smaller.
      desired_bundle_size: bytes of the ranges to begin with.
      compression_type: one of Beam's `CompressionTypes`.
      validate: whether a pattern that finds nothing is an error when the pipeline is built.
      stamp: whether records get lineage attributes.
      on_bad_file: what happens with a file that is refused as a whole.
      dead_letters: a home for the dead letters.
      redact: names of fields whose values stay out of the dead letters, or a function.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.
    """

    role = READ

    def __init__(
        self,
        file_pattern: Any,
        *,
        min_bundle_size: int,
        desired_bundle_size: int,
        compression_type: str,
        validate: bool,
        stamp: bool,
        on_bad_file: str,
        dead_letters: DeadLetters | ErrorHandler | None,
        redact: Redact | None,
        max_dead_rate: float | None,
        max_dead_minimum: int | None,
    ) -> None:
        super().__init__(dead_letters, redact, max_dead_rate, max_dead_minimum)
        self._pattern = checked_pattern(file_pattern)
        if not CompressionTypes.is_valid_compression_type(compression_type):
            raise UsageError(
                f"compression_type={compression_type!r} is not one of Beam's: give "
                "beam.io.filesystem.CompressionTypes.GZIP or another of them"
            )
        check_compression(compression_type, self._pattern)
        if on_bad_file not in ON_BAD_FILE:
            raise UsageError(f"on_bad_file={on_bad_file!r}: give one of {', '.join(map(repr, ON_BAD_FILE))}")
        self._min_bundle_size = given_number(min_bundle_size, "min_bundle_size")
        self._desired_bundle_size = given_number(desired_bundle_size, "desired_bundle_size", 1)
        self._compression_type = compression_type
        self._validate = given_flag(validate, "validate")
        self._on_bad_file = on_bad_file
        self._block_bytes: int | None = None
        self._looks: Looks | None = None
        self.stamps_lineage = given_flag(stamp, "stamp")
        """Whether records leave with lineage attributes; Stages look for it upstream."""

    def expand(self, pbegin: Any) -> Any:
        """Applies the read to a pipeline."""
        label = pbegin.pipeline._current_transform().full_label
        if not isinstance(pbegin, PBegin):
            raise UsageError(f"{label!r} (made at {self._made_at}) is applied to a pipeline, got {pbegin!r}")
        pipeline = pbegin.pipeline
        observation = observation_of(pipeline)
        homes = RefusalHomes(observation, self._home, self._as_output)
        finder = FindFiles(
            self._pattern,
            label,
            self._compression_type,
            self._can_split(),
            self._desired_bundle_size,
            self._min_bundle_size,
            self._format(),
        )
        if self._validate and self._looks is None and isinstance(self._pattern, str):
            self._refuse_doubled_columns(finder.files()[:_LOOKED_AT], label)
        settings = ReadSettings(
            stage=label,
            context=observation.context,
            keeps_dead_letters=homes.keep_refusals,
            notes_inputs=observation.observed,
            stamp=self.stamps_lineage,
            fails_on_bad_file=self._on_bad_file == "fail",
            redaction=redaction_within(observation, self._redact),
            files_arrive=self._looks is not None,
        )
        if self._block_bytes is not None:
            settings = settings._replace(block_bytes=self._block_bytes)
        if observation.observed:
            observation.inputs.append(DatasetDescription(self.label, str(self._pattern), label))
            observation.stages[label] = StageDescription(label, type(self).__name__, "raw")
        reader = self._reader(settings)
        if _runs_bundle_based(pipeline):
            reader = ReadUnsplit(reader)
        read = beam.ParDo(reader).with_output_types(ReadBlock)
        pass_on = beam.ParDo(PassOn(label, observation.context)).with_output_types(self._element_type())
        blocks = self._found(pbegin, finder) | "Read" >> (
            read.with_outputs(EVIDENCE_TAG, main="blocks") if observation.observed else read
        )
        if observation.observed:
            manifests = blocks[EVIDENCE_TAG]
            manifests.element_type = str
            observation.evidence.append(manifests)
            blocks = blocks["blocks"]
        pass_on.label = INNER_LEAF
        if not settings.keeps_dead_letters:
            return blocks | pass_on
        return self._read_by(pass_on, blocks, pbegin, homes)

    def continuously(self, looks: Looks) -> Self:
        """Returns this read, of files as they come."""
        read = copy.copy(self)
        read._looks = looks
        return read

    def _found(self, pbegin: PBegin, finder: FindFiles) -> Any:
        """Returns the files that are to be read."""
        if self._looks is not None:
            return pbegin | "Files" >> ArrivingFiles(finder, self._looks)
        return (
            pbegin | "Impulse" >> beam.Impulse() | "Find" >> beam.ParDo(finder).with_output_types(FoundFile)
        )

    def _refuse_doubled_columns(self, files: list[FoundFile], label: str) -> None:
        """Raises where each of the files has a column twice, so that the read would give nothing else.

        A file that cannot be opened where the pipeline is built is left to the run."""
        doubled: DuplicateColumns | None = None
        for file in files:
            try:
                self._check_columns(file)
            except DuplicateColumns as error:
                doubled = doubled or error
                continue
            except Exception:  # filesystems raise errors of their own
                return
            return
        if doubled is not None:
            raise UsageError(f"{label!r} (made at {self._made_at}): {doubled}; {self._without_doubled}")

    _without_doubled = ""
    """What to write where a column is there twice."""

    def _check_columns(self, file: FoundFile) -> None:
        """Raises `DuplicateColumns` where a file has a column twice that is read."""

    def _reader(self, settings: ReadSettings) -> beam.DoFn:
        """Returns what reads the files."""
        format = self._format()
        assert format is not None
        return ReadRecords(format, settings)

    def _format(self) -> RecordFormat | None:
        """Returns what a file of lines holds; None for other files."""
        return None

    def _can_split(self) -> bool:
        raise NotImplementedError

    def _element_type(self) -> Any:
        raise NotImplementedError


def _runs_bundle_based(pipeline: Any) -> bool:
    """Whether the direct runner will run the pipeline bundle by bundle, as it does with streams: it then
    looks whether a splittable DoFn has claimed its range before it lets it run (Beam 2.77.0)."""
    if isinstance(pipeline.runner, BundleBasedDirectRunner):
        return True
    streaming = bool(pipeline._options.view_as(StandardOptions).streaming)
    return streaming and isinstance(pipeline.runner, SwitchingDirectRunner)


class FindFiles(StatelessDoFn):
    """Gives the files of a pattern, looked for when the job runs."""

    gives_records = False

    def __init__(
        self,
        pattern: Any,
        label: str,
        compression_type: str,
        splittable: bool,
        range_bytes: int,
        min_range_bytes: int,
        format: RecordFormat | None,
    ) -> None:
        self._pattern = pattern
        self._arguments = (label, compression_type, splittable, range_bytes, min_range_bytes)
        self._format = format
        self._wanted: tuple[WantedPlaces, ...] = ()

    def take_only(self, wanted: tuple[WantedPlaces, ...]) -> None:
        """Finds no other files than those that these records are of, and of them no other records."""
        self._wanted = wanted

    def files(self) -> list[FoundFile]:
        """Returns the files of a pattern that is known; raises where it finds nothing, or what cannot be
        unpacked here."""
        files = find_files(self._pattern, *self._arguments)
        for file in files:
            check_compression(file.compression)
        return files

    def look(self) -> list[FoundFile]:
        """Returns the files that there are now, which may be none."""
        try:
            return self.process(b"")
        except NoFilesFound:
            return []

    def process(self, _: bytes) -> list[FoundFile]:
        """Gives the files."""
        pattern = self._pattern if isinstance(self._pattern, str) else checked_pattern(self._pattern.get())
        files = find_files(pattern, *self._arguments)
        columns = None if self._format is None else self._format.common_columns(files)
        files = [file._replace(expected_columns=columns) for file in files]
        if not self._wanted:
            return files
        return [
            file._replace(wanted=one)
            for one in self._wanted
            for file in files
            if file.name == one.partition.name
        ]
