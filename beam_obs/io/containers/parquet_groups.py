"""Row groups of a Parquet file as blocks: a group's place is where its first column begins."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from beam_obs.files.found_files import FoundFile
from beam_obs.io.containers.parquet_footer import Footer, read_footer
from beam_obs.io.containers.parquet_values import values_of
from beam_obs.io.containers.read_containers import KEPT_BYTES, BlockValues, ContainerBlock, ContainerFormat
from beam_obs.records.bad_input import BadFile, CorruptBlock, DuplicateColumns, NotAContainer, WrongHeader
from beam_obs.records.errors import MissingExtra

_ROWS_AT_A_TIME = 1000
_CHUNK_BYTES = 1 << 20
_TAIL_BYTES = 8
"""Length of the footer, 4 bytes, and the format's name, at a file's end."""


class PlacedGroup(NamedTuple):
    """A row group and its place.

    Args:
      offset: of its first byte.
      size: bytes.
      rows: how many.
      number: of the group among the groups of the footer.
    """

    offset: int
    size: int
    rows: int
    number: int


class ParquetHead(NamedTuple):
    """The footer of a Parquet file.

    Args:
      metadata: pyarrow's ``FileMetaData``.
      groups: the row groups, by their places.
    """

    metadata: Any
    groups: tuple[PlacedGroup, ...]


class ParquetFormat(ContainerFormat):
    """Parquet files.

    Args:
      columns: names of columns to be read, ``a`` for all of ``a.b`` and ``a.c`` too; None for all.
    """

    def __init__(self, columns: Sequence[str] | None) -> None:
        self._columns = None if columns is None else list(columns)

    def head(self, stream: Any, file: FoundFile) -> ParquetHead:
        """Returns the footer of a file.

        Raises:
          NotAContainer: there is none, or it cannot be read.
          WrongHeader: the file lacks a column that is to be read.
        """
        watched = _Watched(_seekable(stream, file))
        if file.size == 0:
            raise NotAContainer(f"{file.path} is no Parquet file: it is empty", "empty")
        try:
            metadata = parquet().ParquetFile(watched).metadata
            footer = _footer_of(watched, file, metadata.num_columns)
            self._check_columns(metadata, file.path)
            return ParquetHead(metadata, _placed(footer, file))
        except BadFile:
            raise
        except Exception as error:
            watched.raise_own()
            if isinstance(error, MemoryError):
                raise
            raise NotAContainer(
                f"{file.path} is no Parquet file that can be read: {_first_line(error)}", type(error).__name__
            ) from None

    def open(self, stream: Any, file: FoundFile, head: ParquetHead) -> ParquetGroups:
        """Returns the file's row groups."""
        return ParquetGroups(_Watched(_seekable(stream, file)), head, self._columns)

    def arrow_schema(self, stream: Any, file: FoundFile) -> Any:
        """Returns the ``pyarrow.Schema`` of the rows of a file; raises as `head` does."""
        stream = _seekable(stream, file)
        head = self.head(stream, file)
        opened = parquet().ParquetFile(_Watched(stream), metadata=head.metadata)
        return opened.read_row_groups([], columns=self._columns).schema

    def _check_columns(self, metadata: Any, path: str) -> None:
        paths = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
        missing = tuple(
            name
            for name in self._columns or ()
            if not any(one == name or one.startswith(f"{name}.") for one in paths)
        )
        if missing:
            raise WrongHeader(f"{path} has no column {', '.join(map(repr, missing))}", missing)
        DuplicateColumns.check(path, self._columns_read(metadata), "among its columns")

    def _columns_read(self, metadata: Any) -> list[str]:
        """Returns the names of the columns that are read; of nested ones the outermost."""
        names = list(metadata.schema.to_arrow_schema().names)
        if self._columns is None:
            return names
        asked = self._columns
        return [
            name
            for name in names
            if any(one == name or one.startswith(f"{name}.") or name.startswith(f"{one}.") for one in asked)
        ]


class ParquetGroups:
    """The row groups of an open file.

    Args:
      stream: the open file.
      head: its footer.
      columns: names of columns to be read, or None.
    """

    def __init__(self, stream: _Watched, head: ParquetHead, columns: list[str] | None) -> None:
        self._stream = stream
        self._head = head
        self._columns = columns
        self._file: Any = None

    def blocks(self, start: int, stop: int | None) -> Iterator[ContainerBlock]:
        """Gives the groups that begin in [start, stop), by their places."""
        for group in self._head.groups:
            if start <= group.offset and (stop is None or group.offset < stop):
                yield ContainerBlock(
                    group.offset,
                    group.size,
                    functools.partial(self._rows, group.number, group.rows),
                    functools.partial(self._start_of, group.offset, group.size),
                )

    def _rows(self, number: int, count: int) -> Iterator[BlockValues]:
        done = 0
        try:
            if self._file is None:
                self._file = parquet().ParquetFile(
                    self._stream, metadata=self._head.metadata, page_checksum_verification=True
                )
            batches = self._file.iter_batches(
                _ROWS_AT_A_TIME, row_groups=[number], columns=self._columns, use_threads=False
            )
            for batch in batches:
                yield values_of(batch)
                done += batch.num_rows
            if done != count:
                raise ValueError(f"it has {done} rows, and says {count}")
        except Exception as error:
            self._stream.raise_own()
            if isinstance(error, MemoryError):
                raise
            raise CorruptBlock(
                f"row group {number} cannot be read from row {done} on: {_first_line(error)}",
                type(error).__name__,
            ) from None

    def _start_of(self, offset: int, size: int) -> bytes:
        self._stream.seek(offset)
        return self._stream.read(min(size, KEPT_BYTES))


def parquet() -> Any:
    """Returns pyarrow's module for Parquet.

    Raises:
      MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("Parquet", "parquet") from error
    return pyarrow.parquet


def _footer_of(stream: _Watched, file: FoundFile, columns: int) -> Footer:
    """Returns what the footer says of row groups.

    Args:
      stream: of a file that pyarrow can open.
      file: the file.
      columns: how many it has.
    """
    stream.seek(-_TAIL_BYTES, io.SEEK_END)
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(-_TAIL_BYTES - length, io.SEEK_END)
    footer = read_footer(stream.read(length))
    if footer.is_encrypted:
        raise NotAContainer(f"{file.path} has encrypted columns, which are not supported", "encrypted")
    for number, group in enumerate(footer.groups):
        if group.columns != columns:
            raise NotAContainer(
                f"{file.path} is no Parquet file that can be read: its row group {number} has "
                f"{group.columns} columns, and the file {columns}",
                "columns",
            )
    return footer


def _placed(footer: Footer, file: FoundFile) -> tuple[PlacedGroup, ...]:
    # Groups without columns have no bytes: they lie one behind the other, as it were.
    groups = sorted(
        PlacedGroup(4 + number if group.offset is None else group.offset, group.size, group.rows, number)
        for number, group in enumerate(footer.groups)
    )
    if len({group.offset for group in groups}) < len(groups):
        raise NotAContainer(f"{file.path}: two of its row groups begin at the same byte", "same byte")
    if file.is_splittable and groups and groups[-1].offset >= file.size:
        raise NotAContainer(f"{file.path}: one of its row groups begins behind its end", "behind the end")
    return tuple(groups)


def _seekable(stream: Any, file: FoundFile) -> Any:
    if file.is_splittable:
        return stream
    parts = []
    while part := stream.read(_CHUNK_BYTES):
        parts.append(part)
    return io.BytesIO(b"".join(parts))


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:1000]


class _Watched(io.RawIOBase):
    """An open file that remembers its own failures, to tell them from damage that pyarrow finds."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._failure: Exception | None = None

    def raise_own(self) -> None:
        """Raises what the file itself raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return bytes(self._noting(self._stream.read, *(() if size < 0 else (size,))))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._noting(self._stream.seek, offset, whence)
        return self.tell()

    def tell(self) -> int:
        return int(self._noting(self._stream.tell))

    def _noting(self, method: Any, *args: Any) -> Any:
        try:
            return method(*args)
        except Exception as error:
            self._failure = error
            raise
