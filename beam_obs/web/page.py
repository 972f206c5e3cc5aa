"""A page before it is rendered: which template says it, and the plain values that the template is given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from beam_obs.web.links import Links


@dataclasses.dataclass(frozen=True)
class Page:
    """What a page says.

    Args:
      template: file name in ``templates/``.
      title: of the window, without the name of this software.
      values: what the template is given.
      status: HTTP status.
    """

    template: str
    title: str
    values: Mapping[str, Any]
    status: int = 200


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """What was asked for has a page of its own, which is led to.

    Args:
      address: gives its address.
    """

    address: Callable[[Links], str]


class NotThere(Exception):
    """A page was asked for that is of nothing: shown as a page of its own, with status 404.

    Args:
      message: what is not there, and what is.
    """
