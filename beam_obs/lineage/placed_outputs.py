"""Where in its output a record is, told only where that costs little: small local files of lines."""

from __future__ import annotations

from beam_obs.lineage.opened_files import FileGone, present_state, read_content
from beam_obs.lineage.output_records import AVRO, PARQUET, format_of
from beam_obs.records.record_content import output_digest
from beam_obs.store.folder import is_local, local_path
from beam_obs.store.row_files import find_all

_MOST_BYTES = 2 << 20
_MOST_FILES = 16
_MOST_PLACES = 10


def places_of(files: list[str], origin: bytes, digests: list[bytes]) -> tuple[str, ...]:
    """Returns ``FILE:N`` of the records of an origin, as far as that is cheap to find.

    Args:
      files: of the sink.
      origin: of the records; found as it is where they are stamped.
      digests: of the records as they entered the sink; else their lines are digested.
    """
    found: list[str] = []
    looked_at = 0
    printed, wanted = origin.hex().encode(), frozenset(digests)
    for file in files[:_MOST_FILES]:
        if not is_local(file):
            return ()
        try:
            path = local_path(file)
            if looked_at + present_state(path).size > _MOST_BYTES:
                break
            content = read_content(path)
        except FileGone:
            continue
        looked_at += len(content)
        if looked_at > _MOST_BYTES:
            break
        if format_of(file, content) in (AVRO, PARQUET):
            continue
        stamped = [content.count(b"\n", 0, at) + 1 for at in find_all(content, printed)]
        numbers = stamped or [
            number for number, line in enumerate(content.split(b"\n"), 1) if output_digest(line) in wanted
        ]
        found.extend(f"{file}:{number}" for number in numbers)
    return tuple(found[:_MOST_PLACES])
