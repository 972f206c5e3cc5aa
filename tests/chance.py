"""What chance decides in tests: the same each time, so that a change alone makes one fail.

`make test SEED=7`, or any target of tests, tries other pipelines, values and orders: those of that seed.
`BEAM_OBS_DAMAGE=1000` tries as many of them where stores are damaged.
"""

from __future__ import annotations

import os
import random

SEED = os.environ.get("BEAM_OBS_SEED", "")
"""What one explores with; nothing by default."""
TRIES = int(os.environ.get("BEAM_OBS_DAMAGE", "0"))
"""How many stores one damages; as many as a test holds for enough where it is 0."""


def chance(name: int | str) -> random.Random:
    """Returns the chance of a name: it goes the same way each time, another for each seed."""
    return random.Random(f"{name} {SEED}" if SEED else name)
