"""What Beam takes for the types of our transforms, DoFns and functions: Any, where nothing else is said.

Beam does not resolve annotations that are text, as `from __future__ import annotations` makes them: it takes
each for Any and writes a line to the log of the user's program about it. So it is not shown them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from apache_beam.typehints import typehints
from apache_beam.typehints.decorators import IOTypeHints, get_type_hints, no_annotations

T = TypeVar("T")

_ANY = IOTypeHints.empty().with_output_types(typehints.Any)


class Untyped:
    """A mixin for DoFns and PTransforms, in front of Beam's class."""

    def default_type_hints(self) -> Any:
        """Returns the types that the class is decorated with, else Any."""
        return get_type_hints(type(self)).with_defaults(_ANY)


def untyped(function: T) -> T:
    """Marks a function, or a class of callables, that is given to `beam.Map` or another of Beam's.

    >>> import apache_beam as beam
    >>> beam.Map(untyped(lambda number: str(number))).get_type_hints().input_types is None
    True
    """
    marked: T = no_annotations(function)
    return marked
