"""What a DoFn's methods ask Beam for beside the element: their default values say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.transforms import core, userstate

from beam_obs.beam_private import DoFnParam, RestrictionDoFnParam, WatermarkEstimatorParam


def asks_for(default: Any, parameter: Any) -> bool:
    """Returns whether a default value is one of Beam's parameters, e.g. ``beam.DoFn.KeyParam``."""
    return isinstance(default, DoFnParam) and default == parameter


def is_filled_in(default: Any) -> bool:
    """Returns whether Beam fills an argument in; `DoFn.BundleFinalizerParam` is given as a class."""
    kind = default if isinstance(default, type) else type(default)
    return issubclass(kind, DoFnParam)


def is_splittable(defaults: list[Any]) -> bool:
    """Returns whether the arguments of `process` are those of a splittable DoFn."""
    kinds = (RestrictionDoFnParam, WatermarkEstimatorParam)
    return any(isinstance(default, kinds) for default in defaults)


def with_provider(default: Any, dofn: beam.DoFn) -> Any:
    """Returns a default value in which a DoFn that is its own provider of restrictions is named as such."""
    if isinstance(default, RestrictionDoFnParam) and default.restriction_provider is None:
        return core.DoFn.RestrictionParam(dofn)
    if isinstance(default, WatermarkEstimatorParam) and default.watermark_estimator_provider is None:
        return core.DoFn.WatermarkEstimatorParam(dofn)
    return default


def specs_of(dofn: beam.DoFn) -> tuple[Any, Any]:
    """Returns a DoFn's sets of states and of timers."""
    if isinstance(dofn, core.CallableWrapperDoFn):
        return set(), set()
    states, timers = userstate.get_dofn_specs(dofn)
    return states, timers


def element_at(names: list[str], defaults: list[Any]) -> int:
    """Returns the position of the element among a function's arguments: it may be asked for, too."""
    for position, default in enumerate(defaults):
        if asks_for(default, core.DoFn.ElementParam):
            return len(names) - len(defaults) + position
    return 0


def taking_it_first(function: Callable[..., Any], at: int) -> Callable[..., Any]:
    """Returns a function of the element and the rest, for one that has the element at position `at`."""

    def process(element: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args[:at], element, *args[at:], **kwargs)

    return process


def taking_it_at(process: Callable[..., Any], at: int) -> Callable[..., Any]:
    """Returns a function that has the element at position `at`, for one of the element and the rest."""

    def process_element(*args: Any, **kwargs: Any) -> Any:
        return process(args[at], *args[:at], *args[at + 1 :], **kwargs)

    return process_element
