"""What a transform of ours is to those who look at a finished pipeline, whatever its class is called.

It travels as an annotation of the portable pipeline, and a subclass has it from its base.
"""

from __future__ import annotations

from typing import Any, ClassVar

import apache_beam as beam

from beam_obs.wrapper.untyped import Untyped

ROLE = "beam_obs_role"
"""Name of the annotation."""

READ = "read"
BEGINS_READ = "begins read"
"""Gives what is to be read, and no record, as an impulse does."""
WRITE = "write"
"""Beam's own write stands in it, behind steps of ours that are woven."""
WRITES_FILES = "writes files"
"""A write of ours in the place of Beam's, in one of role `WRITE`."""
SINK = "sink"
"""Any write of Beam's, observed."""
TELLS_LATE = "tells late"
"""Groups records by no key of theirs, and gives each as it was, but for its pane."""
EVIDENCE = "evidence"
"""Keeps dead letters or evidence; what it takes is no data of the user's."""
GATHER = "gather"
"""The same, and gathers what the pipeline's own steps keep for the run of a stream."""
COMMIT = "commit"
"""The same, and commits all that the pipeline's own steps keep for the run."""
KEEPING = frozenset({EVIDENCE, GATHER, COMMIT})


class ObservesItsInside(Untyped, beam.PTransform):
    """A transform of ours whose inside those around it leave alone."""


class Ours(ObservesItsInside):
    """A transform of ours with a role."""

    role: ClassVar[str]

    def annotations(self) -> dict[str, Any]:
        """Returns what the portable pipeline notes of this transform."""
        return {**super().annotations(), ROLE: self.role}
