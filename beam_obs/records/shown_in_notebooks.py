"""What notebooks show in place of a repr: HTML, whose words are made in a room above those of the data.

So the data knows only that it can be shown; `beam_obs/__init__.py`, which stands above all rooms, says how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class ShownInNotebooks:
    """Something that a notebook shows as a table or a tree."""

    def _repr_html_(self) -> str | None:
        """Returns it as HTML without a script; None where it is shown as text."""
        return _made_by(self)


def show_in_notebooks_by(make: Callable[[Any], str | None]) -> None:
    """Takes what makes the HTML.

    Args:
      make: is given what is shown.
    """
    global _made_by
    _made_by = make


def _as_text(thing: Any) -> str | None:
    return None


_made_by: Callable[[Any], str | None] = _as_text
