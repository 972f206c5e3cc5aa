"""What can be wrong with a file or a row of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from beam_obs.records.errors import BeamObsError

_SHOWN_NAMES = 20


class BadInput(BeamObsError, ValueError):
    """Something read is not what it should be.

    Args:
      message: what was found, and what was expected.
      detail: what tells kinds of this error apart in its fingerprint, e.g. a column's name; no values.

    >>> import apache_beam as beam, pathlib
    >>> import beam_obs as obs
    >>> _ = pathlib.Path("fares.csv").write_text("city,fare\\nrome,12,5\\n")
    >>> with beam.Pipeline("DirectRunner") as p:
    ...     _, dead = p | obs.ReadFromCsv("fares.csv").with_dead_letters()
    ...     _ = dead | beam.Map(lambda letter: print(letter.error_type, letter.error_message, sep=": "))
    beam_obs.TornRow: too many columns: row has 3, header has 2
    """

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, str]]:
        return (type(self), (str(self), self.detail))


class UndecodableBytes(BadInput):
    """Bytes of a line are not text in the file's encoding."""


class TornRow(BadInput):
    """A row has too few or too many columns, a quote that is not closed, or NUL bytes."""


class ConversionError(BadInput):
    """A value does not fit the type of its field."""


class NotJson(BadInput):
    """A line is not a JSON object."""


class DuplicateKey(BadInput):
    """A JSON object has a key more than once, so that all values but one would be lost."""


class CorruptBlock(BadInput):
    """A block of a file, or what is left of it after a record, cannot be read."""


class BadMessage(BadInput):
    """The data of a message cannot be decoded, or what it decodes to has no room for its attributes."""


class LateRecord(BadInput):
    """A record came after its window had expired."""


class CanaryFailed(BadInput):
    """A canary arrived, and is not as it should be."""


class NotReadBack(BadInput):
    """A record would not come back from the file that it is written to, or not as it is."""


class BadFile(BadInput):
    """A file is refused as a whole."""


class EmptyFile(BadFile):
    """A file has no header."""


class WrongHeader(BadFile):
    """A file's header is not the expected one.

    Args:
      message: what was found, and what was expected.
      missing: columns that are expected and not there.
      extra: columns that are there and not expected.
    """

    def __init__(self, message: str, missing: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> None:
        super().__init__(message, ",".join((*missing, "", *extra)))
        self.missing = missing
        self.extra = extra

    def __reduce__(self) -> tuple[type[WrongHeader], tuple[str, tuple[str, ...], tuple[str, ...]]]:  # type: ignore[override]
        return (WrongHeader, (str(self), self.missing, self.extra))


class DuplicateColumns(WrongHeader):
    """A file has a column more than once, so that all values of it but one would be lost.

    Args:
      path: of the file.
      names: of such columns.
      where: what of the file has them.
    """

    def __init__(self, path: str, names: tuple[str, ...], where: str) -> None:
        shown = ", ".join(map(repr, names[:_SHOWN_NAMES])) + (" ..." if len(names) > _SHOWN_NAMES else "")
        super().__init__(f"{path} has {shown} more than once {where}", extra=names)
        self._given = (path, names, where)

    def __reduce__(self) -> tuple[type[DuplicateColumns], tuple[str, tuple[str, ...], str]]:  # type: ignore[override]
        return (DuplicateColumns, self._given)

    @classmethod
    def check(cls, path: str, names: Sequence[str], where: str) -> None:
        """Raises where a name is there twice."""
        counts = Counter(names)
        if len(counts) < len(names):
            raise cls(path, tuple(name for name, count in counts.items() if count > 1), where)


class NotText(BadFile):
    """A file that is to be read as text is of another format, or compressed."""


class NotAContainer(BadFile):
    """A file is not of its format: it has no such header or footer, or one that cannot be read."""


class FileTooLarge(BadFile):
    """A file is larger than a file that is one record may be."""


class DamagedCompression(BadFile):
    """Compressed data ends too early or is not what its format says; what could be unpacked was read."""


class UnreadFile(BadFile):
    """A file that came while a job ran has changed since it was read, or was gone before."""


class FileChanged(BeamObsError, OSError):
    """A file changed while it was read, so its version no longer says what was read."""
