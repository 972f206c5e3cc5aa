"""ReadWholeFiles: whole files as records, each with its version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.restriction_trackers import OffsetRange
from apache_beam.transforms.error_handling import ErrorHandler

from beam_obs.dead_letters.homes import DeadLetters
from beam_obs.files.decompression import open_stream
from beam_obs.io.reads.file_read import FileRead
from beam_obs.io.reads.read_blocks import ReadBlock
from beam_obs.io.reads.read_ranges import RangeProgress, ReadRanges, ReadSettings
from beam_obs.records.bad_input import DamagedCompression, FileChanged, FileTooLarge
from beam_obs.records.given import given_number
from beam_obs.records.lineage_attributes import LINEAGE_FIELD
from beam_obs.records.public_names import known_by_public_name
from beam_obs.wrapper.redaction import Redact

_CHUNK_BYTES = 1 << 20
_KEPT_BYTES = 1 << 20


@known_by_public_name
class File(NamedTuple):
    """A file as a record.

    Args:
      uri: with which Beam opens it.
      version: its generation where its store has one, else its size and a digest of its bytes.
      content: its bytes; of a compressed file what it holds.

    >>> import beam_obs as obs
    >>> obs.File("gs://bucket/page.html", "1700000000", b"<h1>Speakers</h1>").content
    b'<h1>Speakers</h1>'
    """

    uri: str
    version: str
    content: bytes


class ReadWholeFiles(FileRead):
    """Reads each file as one record: a `File` of uri, version and content.

    A compressed file that is damaged, and a file that is too large, become dead letters with the first
    MiB of what could be read; the other files are read. Where dead letters have no home, the first of them
    fails the job.

    Args:
      file_pattern: path or pattern on any Beam filesystem.
      compression_type: one of Beam's `CompressionTypes`; by the file's extension by default.
      max_bytes: the most that a file may hold, since all of it is in memory at once.
      validate: whether a pattern that finds nothing is an error when the pipeline is built.
      stamp: whether each file becomes ``{"uri": str, "version": str, "content": bytes, "_lineage": {...}}``.
      on_bad_file: ``"dead_letter"``, or ``"fail"`` to fail the job on a file that is refused.
      dead_letters: a home for the dead letters: an `obs.DeadLetters`, or an `ErrorHandler` of Beam's.
      redact: if given, refused files are left out of the dead letters: they have no fields.
      max_dead_rate: share of its records, 0 to 1, that this step may refuse, as for a `Stage`.
      max_dead_minimum: fewest records for the share to be judged.

    Raises:
      UsageError: arguments do not fit together.
      NoFilesFound: the pattern finds nothing.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> _ = pathlib.Path("page.html").write_text("<h1>Speakers</h1>")
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _ = p | obs.ReadWholeFiles("*.html") | beam.Map(lambda file: print(file.content))
    b'<h1>Speakers</h1>'
    """

    def __init__(
        self,
        file_pattern: Any,
        *,
        compression_type: str = CompressionTypes.AUTO,
        max_bytes: int = 1 << 30,
        validate: bool = True,
        stamp: bool = False,
        on_bad_file: str = "dead_letter",
        dead_letters: DeadLetters | ErrorHandler | None = None,
        redact: Redact | None = None,
        max_dead_rate: float | None = None,
        max_dead_minimum: int | None = None,
    ) -> None:
        super().__init__(
            file_pattern,
            min_bundle_size=0,
            desired_bundle_size=1 << 26,
            compression_type=compression_type,
            validate=validate,
            stamp=stamp,
            on_bad_file=on_bad_file,
            dead_letters=dead_letters,
            redact=redact,
            max_dead_rate=max_dead_rate,
            max_dead_minimum=max_dead_minimum,
        )
        self._max_bytes = given_number(max_bytes, "max_bytes", 1)

    def _reader(self, settings: ReadSettings) -> beam.DoFn:
        return _WholeFileReader(settings, self._max_bytes)

    def _can_split(self) -> bool:
        return False

    def _element_type(self) -> Any:
        return dict[str, Any] if self.stamps_lineage else File


class _WholeFileReader(ReadRanges):
    positions = "files"

    def __init__(self, settings: ReadSettings, max_bytes: int) -> None:
        super().__init__(settings)
        self._max_bytes = max_bytes

    def _read_range(self, progress: RangeProgress, tracker: Any, claimed: OffsetRange) -> Iterator[Any]:
        raise AssertionError("whole files are not split")

    def _read_whole(self, progress: RangeProgress) -> Iterator[Any]:
        file = progress.file
        parts: list[bytes] = []
        length = 0
        stream = open_stream(file.location, file.compression)
        try:
            while length <= self._max_bytes and (part := stream.read(_CHUNK_BYTES)):
                parts.append(part)
                length += len(part)
        except DamagedCompression as damage:
            yield from self._refuse_file(progress, damage, b"".join(parts)[:_KEPT_BYTES])
            return
        finally:
            stream.close()
        content = b"".join(parts)
        if length > self._max_bytes:
            what = "holds" if file.compression != CompressionTypes.UNCOMPRESSED else "has"
            error = FileTooLarge(
                f"{file.path} {what} more than the {self._max_bytes} bytes that max_bytes allows"
            )
            yield from self._refuse_file(progress, error, content[:_KEPT_BYTES])
            return
        if file.compression == CompressionTypes.UNCOMPRESSED and length != file.size:
            raise FileChanged(f"{file.path} has {length} bytes, but had {file.size} when it was found")
        whole = File(file.path, self._partition(file).version, content)
        record: Any = whole
        if self._settings.stamp:
            record = {**whole._asdict(), LINEAGE_FIELD: self._lineage(file, [0])[0]}
        progress.records += 1
        progress.bytes += length
        yield ReadBlock([record], [], length, self._origins(file, [0]))
