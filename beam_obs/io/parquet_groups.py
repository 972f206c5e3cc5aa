"""Row groups of a Parquet file as blocks: a group's place is where its first column begins."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from beam_obs.io.bad_input import CorruptBlock, NotAContainer, WrongHeader
from beam_obs.io.found_files import FoundFile
from beam_obs.io.read_containers import KEPT_BYTES, ContainerBlock, ContainerFormat
from beam_obs.io.typed_records import dicts_of
from beam_obs.records.errors import MissingExtra

_ROWS_AT_A_TIME = 1000
_CHUNK_BYTES = 1 << 20


class ParquetHead(NamedTuple):
    """The footer of a Parquet file.

    Args:
      metadata: pyarrow's ``FileMetaData``.
      groups: (offset, bytes) of each row group.
    """

    metadata: Any
    groups: tuple[tuple[int, int], ...]


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
        except Exception as error:
            watched.raise_own()
            if isinstance(error, MemoryError):
                raise
            raise NotAContainer(
                f"{file.path} is no Parquet file that can be read: {_first_line(error)}", type(error).__name__
            ) from None
        self._check_columns(metadata, file.path)
        return ParquetHead(metadata, _groups_of(metadata))

    def open(self, stream: Any, file: FoundFile, head: ParquetHead) -> ParquetGroups:
        """Returns the file's row groups."""
        return ParquetGroups(_Watched(_seekable(stream, file)), head, self._columns)

    def _check_columns(self, metadata: Any, path: str) -> None:
        paths = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
        missing = tuple(
            name
            for name in self._columns or ()
            if not any(one == name or one.startswith(f"{name}.") for one in paths)
        )
        if missing:
            raise WrongHeader(f"{path} has no column {', '.join(map(repr, missing))}", missing)


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
        """Gives the groups that begin in [start, stop), in their order."""
        for number, (offset, size) in enumerate(self._head.groups):
            if start <= offset and (stop is None or offset < stop):
                yield ContainerBlock(
                    offset,
                    size,
                    functools.partial(self._rows, number),
                    functools.partial(self._start_of, offset, size),
                )

    def _rows(self, number: int) -> Iterator[list[Any]]:
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
                rows = _rows_of(batch)
                yield rows
                done += len(rows)
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


def _groups_of(metadata: Any) -> tuple[tuple[int, int], ...]:
    groups = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(at) for at in range(group.num_columns)]
        begins = [
            min(
                offset
                for offset in (column.dictionary_page_offset, column.data_page_offset)
                if offset is not None and offset > 0
            )
            for column in columns
        ]
        # Groups without columns have no bytes: they lie one behind the other, as it were.
        groups.append(
            (min(begins, default=4 + number), sum(column.total_compressed_size for column in columns))
        )
    if len({offset for offset, _ in groups}) < len(groups):
        raise NotAContainer("two row groups of the file begin at the same byte", "same byte")
    return tuple(groups)


def _rows_of(batch: Any) -> list[dict[str, Any]]:
    """Column by column, and by a function written out for the columns: half the time of pyarrow's own."""
    columns = batch.to_pydict()
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    return _maker(tuple(columns))(zip(*columns.values(), strict=True))


_maker = functools.lru_cache(maxsize=100)(dicts_of)


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
