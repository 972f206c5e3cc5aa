"""How wide what is printed may be."""

from __future__ import annotations

import os
from typing import Any


def is_terminal(file: Any) -> bool:
    """Returns whether a file is a terminal."""
    return bool(getattr(file, "isatty", lambda: False)())


def wanted_columns() -> int | None:
    """Returns the width that the variable COLUMNS asks for; None where it asks for none."""
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() and int(columns) > 0 else None
