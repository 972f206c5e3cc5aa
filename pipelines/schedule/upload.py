"""Puts the schedule where people see it: a file, copied to a folder on any filesystem that Beam knows.

The copy is written beside the file it replaces and then renamed, so that nobody ever sees half of it. A
schedule that has lost most of its sessions does not replace a good one.
"""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import uuid

from apache_beam.io.filesystems import FileSystems
from apache_beam.utils import retry

LEAST_SHARE = 0.5
"""A schedule with less than this share of the sessions that are at the destination does not replace them."""

RETRIES = 2
FIRST_WAIT_SECONDS = 0.2

_LOGGER = logging.getLogger(__name__)


class UploadFailed(OSError):
    """The destination cannot be written."""


class ScheduleShrank(ValueError):
    """The schedule has no session, or far fewer than the one that it would replace."""


def upload(path: str, destination: str) -> str:
    """Copies a schedule to a folder, and returns where it is then.

    What goes wrong with the filesystem is tried again, with waits that double.

    Args:
      path: a CSV file with a header.
      destination: a folder that is there.

    Raises:
      UploadFailed: the destination cannot be written; what was there still is.
      ScheduleShrank: the schedule is not to replace the one at the destination.
    """
    target: str = FileSystems.join(destination, path.replace("\\", "/").rpartition("/")[2])
    try:
        _put(path, destination, target)
    except OSError as error:
        attempts = f"{RETRIES + 1} attempts"
        raise UploadFailed(
            f"{target} not written in {attempts}: {error}. The schedule is kept at {path}"
        ) from error
    return target


@retry.with_exponential_backoff(
    num_retries=RETRIES,
    initial_delay_secs=FIRST_WAIT_SECONDS,
    retry_filter=lambda error: isinstance(error, OSError),
    logger=_LOGGER.info,
)
def _put(path: str, destination: str, target: str) -> None:
    filesystem = FileSystems.get_filesystem(destination)
    if filesystem.has_dirs() and not FileSystems.exists(destination):
        # Beam would make it, and a folder of a disk that is not mounted must not be made.
        raise FileNotFoundError(f"the folder {destination} is not there")
    content = _read(path)
    _check_size(content, target)
    partial = f"{target}.{uuid.uuid4().hex[:8]}.partial"
    try:
        with FileSystems.create(partial, "text/csv") as file:
            file.write(content)
        FileSystems.rename([partial], [target])
    except Exception:
        with contextlib.suppress(Exception):
            FileSystems.delete([partial])
        raise


def _check_size(content: bytes, target: str) -> None:
    sessions = count_sessions(content)
    there = count_sessions(_read(target)) if FileSystems.exists(target) else 0
    if not sessions:
        raise ScheduleShrank("the schedule has no session")
    if sessions < there * LEAST_SHARE:
        raise ScheduleShrank(
            f"{sessions} sessions would replace {there} at {target}: fewer than {LEAST_SHARE:.0%}, so it "
            "stays as it is. If the conference did shrink, remove that file and upload again"
        )


def count_sessions(content: bytes) -> int:
    """Returns the number of rows below the header.

    >>> count_sessions(b'day,title\\n2026-09-16,"two\\nlines"\\n')
    1
    """
    rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    return max(sum(1 for _ in rows) - 1, 0)


def _read(path: str) -> bytes:
    with FileSystems.open(path) as file:
        return bytes(file.read())
