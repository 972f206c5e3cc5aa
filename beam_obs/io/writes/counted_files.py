"""Beam's file sinks with an account of each file: records, and a digest that does not depend on order.

The digest of a file is the sum modulo 2^64 of `record_digest` of its records, without the attributes that
were stamped on them: so the digests of any sharding of the same records, by any run, add up to the same
number. Writers note it beside the name of the file they wrote, which travels through Beam's own sink to the
step that gives the file its last name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Any

import apache_beam as beam
import numpy
from apache_beam.io.filebasedsink import FileBasedSinkWriter
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.records.manifest import Manifest
from beam_obs.wrapper.refusal import EVIDENCE_TAG
from beam_obs.wrapper.stateless_dofn import StatelessDoFn

_ADDED_TOGETHER = 1024


def record_digest(encoded: bytes) -> int:
    """Returns the 64-bit hash of a record's encoding: the first 8 bytes, big endian, of blake2b of that size.

    >>> f"{record_digest(b'a'):016x}"
    '40f89e395b66422f'
    """
    return int.from_bytes(blake2b(encoded, digest_size=8).digest(), "big")


class WrittenFile(str):
    """Name of a file that was written.

    Attributes:
      records: how many; None where it is not known.
      digest: sum of the records' digests, 16 hex digits.
    """

    records: int | None = None
    digest: str = ""

    @classmethod
    def of(cls, path: str, records: int | None, digest: str) -> WrittenFile:
        """Returns the name with what is known of the file."""
        file = cls(path)
        file.records = records
        file.digest = digest
        return file

    def __reduce__(self) -> tuple[Any, ...]:
        return (WrittenFile.of, (str(self), self.records, self.digest))


class CountedSink:
    """Mixed into a `FileBasedSink` whose records come as encoded bytes."""

    without_stamp: Callable[[bytes], bytes] | None = None
    """Gives the encoding of a stamped record as it is without the stamp."""

    _get_final_name: Any
    max_records_per_shard: Any
    max_bytes_per_shard: Any

    def open_writer(self, init_result: Any, uid: str) -> CountedWriter:
        """Returns a writer that counts."""
        plain = super().open_writer(init_result, uid)  # type: ignore[misc]
        return CountedWriter(plain)

    def finalize_windowed_write(
        self, init_result: Any, writer_results: Iterable[Any], pre_finalized: Any, w: Any = None
    ) -> Iterator[WrittenFile]:
        """Gives the files their last names; each name comes with its account."""
        written = sorted(writer_results)
        accounts = {
            self._get_final_name(number, len(written), w): file for number, file in enumerate(written)
        }
        finalize = super().finalize_windowed_write  # type: ignore[misc]
        renamed = set(finalize(init_result, written, pre_finalized, w))
        # Beam passes over files that a lost attempt of this bundle has given their last names already.
        for name in sorted(renamed | set(accounts)):
            file = accounts.get(name)
            yield WrittenFile.of(name, getattr(file, "records", None), getattr(file, "digest", ""))


class CountedWriter(FileBasedSinkWriter):
    """Writes one file and counts its records.

    Args:
      plain: the sink's own writer, with its file open.
    """

    def __init__(self, plain: FileBasedSinkWriter) -> None:
        # The file is open already, so Beam's own constructor is left out.
        self.__dict__.update(plain.__dict__)
        self._digest = 0
        self._pending: list[bytes] = []
        self._without_stamp = getattr(self.sink, "without_stamp", None)

    def write(self, value: bytes) -> None:
        """Writes one record."""
        self.num_records_written += 1
        content = value if self._without_stamp is None else self._without_stamp(value)
        self._pending.append(blake2b(content, digest_size=8).digest())
        if len(self._pending) >= _ADDED_TOGETHER:
            self._add_up()
        self.sink.write_record(self.temp_handle, value)

    def close(self) -> WrittenFile:
        """Closes the file and returns its name for the time being, with its account."""
        path = super().close()
        self._add_up()
        return WrittenFile.of(path, self.num_records_written, f"{self._digest:016x}")

    def _add_up(self) -> None:
        total = numpy.frombuffer(b"".join(self._pending), dtype=">u8").sum(dtype=numpy.uint64)
        self._digest = (self._digest + int(total)) % 2**64
        self._pending = []


class NameFiles(StatelessDoFn):
    """Gives the name of each file as text, at a time within its window, and its manifest beside it.

    Beam's sinks give names the maximal timestamp, which no window holds: a shuffle on Prism drops them.

    Args:
      stage: full label of the write; None where manifests are not kept.
    """

    def __init__(self, stage: str | None) -> None:
        self._stage = stage

    def process(
        self,
        file: WrittenFile,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> list[Any]:
        """Gives the name of one file."""
        name = TimestampedValue(str(file), min(timestamp, window.max_timestamp()))
        if self._stage is None:
            return [name]
        return [name, TaggedOutput(EVIDENCE_TAG, noted(self._stage, file))]


def noted(stage: str, file: WrittenFile) -> WindowedValue:
    """Returns the manifest of a file as JSON text, at a time that the commit waits for."""
    details: dict[str, Any] = {}
    found = FileSystems.match([str(file)])[0].metadata_list
    if found:
        details["bytes"] = found[0].size_in_bytes
    manifest = Manifest("outputs", stage, str(file), file.records or 0, file.digest, details)
    return GlobalWindows.windowed_value(manifest.to_json())
