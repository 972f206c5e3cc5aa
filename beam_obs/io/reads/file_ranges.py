"""The ranges a file is read in: how many at first, and where a runner may split one while it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.transforms.core import RestrictionProvider

from beam_obs.files.found_files import FoundFile


class FileRanges(RestrictionProvider):
    """Byte ranges of a file; one range of length 1 stands for a file that is read in one go."""

    def initial_restriction(self, file: FoundFile) -> OffsetRange:
        """Returns the whole file, or as much of it as the records that are wanted begin in."""
        if not file.is_splittable:
            return OffsetRange(0, 1)
        return (
            OffsetRange(0, file.size)
            if file.wanted is None
            else OffsetRange(*file.wanted.bytes_of(file.size))
        )

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        """Returns a tracker of byte offsets."""
        return OffsetRestrictionTracker(restriction)

    def split(self, file: FoundFile, restriction: OffsetRange) -> Iterator[OffsetRange]:
        """Gives the ranges to begin with; of an empty file the empty range, so that it is accounted for."""
        if not file.is_splittable or restriction.size() == 0:
            yield restriction
            return
        yield from restriction.split(max(1, file.range_bytes), max(1, file.min_range_bytes))

    def restriction_size(self, file: FoundFile, restriction: OffsetRange) -> int:
        """Returns the number of bytes to be read."""
        return int(restriction.size()) if file.is_splittable else file.size

    def truncate(self, file: FoundFile, restriction: OffsetRange) -> Any:
        """Returns the range itself: a file is always read to its end."""
        return restriction
