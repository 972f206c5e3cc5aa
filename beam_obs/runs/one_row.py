"""Which composites of a pipeline are told as one row: the rule, in one place.

A composite that Beam's own library, or ours, expands is one row, whatever it is made of: a read or a write, a
CombinePerKey, Distinct, RunInference. A user's composite is told by its parts. An `obs.Stage`, Source or
Sink goes by what it is put around.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from apache_beam.io.filebasedsink import FileBasedSink
from apache_beam.io.fileio import WriteToFiles
from apache_beam.io.iobase import WriteImpl

from beam_obs.beam_private import NamedPTransform, PTransformFnPTransform
from beam_obs.stages.stage import Stage
from beam_obs.wrapper.role import SINK, WRITE, WRITES_FILES

_OF_LIBRARIES = ("apache_beam.", "beam_obs.")
_OF_USERS = ("apache_beam.examples.", "apache_beam.transforms.ptransform", "apache_beam.yaml.")
"""Programs, and composites around what a user wrote."""
_OF_WRITES = ("apache_beam.io.", "apache_beam.dataframe.io")


class Row(NamedTuple):
    """What is to be known of a composite that is one row.

    Args:
      is_write: whether it writes what it takes, so that what it gives is not its records.
      gives_files: whether it gives an element for each file that it has written.
      is_counted: whether what it takes are records all of which it writes, or tells; not of frames, nor where
        it was told to leave out what its service refuses.
    """

    is_write: bool
    gives_files: bool = False
    is_counted: bool = True


def one_row_steps(pipeline: Any) -> dict[str, Row]:
    """Returns the outermost steps of a pipeline that are one row each, by full label.

    Args:
      pipeline: as the user built it: a copy that a runner made no longer tells whose a composite is.
    """
    return dict(_rows(pipeline._root_transform()))


def is_one_row(transform: Any) -> bool:
    """Returns whether a composite is told as one row, not by its parts.

    Args:
      transform: as a node of a pipeline holds it.

    >>> import apache_beam as beam
    >>> import beam_obs as obs
    >>> clean = beam.Map(str.strip) | beam.Filter(bool)
    >>> is_one_row(beam.Distinct()), is_one_row(clean)
    (True, False)
    >>> is_one_row(obs.Stage(beam.Distinct())), is_one_row(obs.Stage(clean))
    (True, False)
    """
    expands = _expanding_module(_within(transform))
    return expands.startswith(_OF_LIBRARIES) and not expands.startswith(_OF_USERS)


def is_write(transform: Any) -> bool:
    """Returns whether a composite that takes records writes them, so that what it gives is not its records.

    >>> import apache_beam as beam
    >>> is_write(beam.io.WriteToText("out")), is_write(beam.Distinct())
    (True, False)
    """
    if getattr(transform, "role", None) in (WRITE, SINK):
        return True
    kinds = type(_within(transform)).__mro__
    return any(kind.__module__.startswith(_OF_WRITES) and "Write" in kind.__name__ for kind in kinds)


def _rows(node: Any) -> Iterator[tuple[str, Row]]:
    for part in node.parts:
        if not is_one_row(part.transform):
            yield from _rows(part)
            continue
        if part.main_inputs and is_write(part.transform):
            is_counted = not (_takes_frames(part.transform) or _may_leave_out(part))
            yield part.full_label, Row(True, _gives_files(part), is_counted)
        else:
            yield part.full_label, Row(False)


def _gives_files(node: Any) -> bool:
    transform = node.transform
    if isinstance(transform, WriteToFiles) or getattr(transform, "role", None) == WRITES_FILES:
        return True
    if isinstance(transform, WriteImpl):
        return isinstance(transform.sink, FileBasedSink)
    return any(map(_gives_files, node.parts))


def _takes_frames(transform: Any) -> bool:
    kind = type(_within(transform))  # by name: its module needs pandas
    return (kind.__module__, kind.__name__) == ("apache_beam.dataframe.io", "_WriteToPandas")


def _may_leave_out(node: Any) -> bool:
    parameters = getattr(node.transform, "additional_bq_parameters", None)
    leaves_out = callable(parameters) or bool((parameters or {}).get("maxBadRecords"))
    return leaves_out or any(map(_may_leave_out, node.parts))


def _within(transform: Any) -> Any:
    """Returns what a Stage is put around, without its name; a transform that is no Stage as it is."""
    while isinstance(transform, (Stage, NamedPTransform)):
        transform = transform._transform if isinstance(transform, Stage) else transform.transform
    return transform


def _expanding_module(transform: Any) -> str:
    """Returns the name of the module whose code expands a transform; of a function that is one, its own."""
    if isinstance(transform, PTransformFnPTransform):
        return str(getattr(transform._fn, "__module__", None) or "")
    kinds = (kind for kind in type(transform).__mro__ if "expand" in vars(kind))
    return str(next(kinds, type(transform)).__module__)
