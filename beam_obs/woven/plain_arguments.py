"""The arguments of a woven step's function: what Beam is asked for, and how the user's function gets them.

Three questions of Beam's get another answer than the user's DoFn gives: who provides restrictions (they see
elements), which state there is (one more), and what the key is (taken from the plain value, where the element
is not keyed).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apache_beam.transforms import core

from beam_obs.beam_private import RestrictionDoFnParam, WatermarkEstimatorParam
from beam_obs.woven.providers import WovenRestrictionProvider, WovenWatermarkEstimatorProvider
from beam_obs.wrapper.dofn_parameters import asks_for
from beam_obs.wrapper.element_forms import SEED, WOVEN, unpack

Placeholders = list[tuple[int, Any]]
"""Positions of the arguments that Beam fills in, and what it is asked for."""


def shown_default(takes: str, default: Any) -> Any:
    """Returns what Beam is asked for, where the user asks for `default`.

    Args:
      takes: form of the elements.
      default: with the provider that it has.
    """
    if isinstance(default, RestrictionDoFnParam):
        return core.DoFn.RestrictionParam(WovenRestrictionProvider(default.restriction_provider, takes))
    if isinstance(default, WatermarkEstimatorParam):
        estimators = default.watermark_estimator_provider
        return core.DoFn.WatermarkEstimatorParam(WovenWatermarkEstimatorProvider(estimators, takes))
    if takes == WOVEN and asks_for(default, core.DoFn.KeyParam):
        return core.DoFn.WindowedValueParam
    return default


def behind_the_element(position: int, element_at: int) -> int:
    """Returns the position of an argument among those that are not the element.

    >>> behind_the_element(1, 0), behind_the_element(1, 2)
    (0, 1)
    """
    return position - 1 if position > element_at else position


def with_plain_arguments(
    process: Callable[..., Any], takes: str, defaults: list[Any], placeholders: Placeholders, element_at: int
) -> Callable[..., Any]:
    """Returns a process function to which windowed elements are what the user asked for: the key, or the
    plain windowed value.

    Args:
      process: takes the element first.
      takes: form of the elements.
      defaults: of the user's function.
      placeholders: of the arguments.
      element_at: position of the element among them.
    """
    wants_key = takes == WOVEN and any(asks_for(default, core.DoFn.KeyParam) for default in defaults)
    wants_value = any(asks_for(default, core.DoFn.WindowedValueParam) for default in defaults)
    if takes == SEED or not (wants_key or wants_value):
        return process
    ((position, _),) = [one for one in placeholders if asks_for(one[1], core.DoFn.WindowedValueParam)]
    at = behind_the_element(position, element_at)

    def process_plain(element: Any, *args: Any, **kwargs: Any) -> Any:
        rest = list(args)
        _, value = unpack(takes, element)
        rest[at] = _key_of(value) if wants_key else args[at].with_value(value)
        return process(element, *rest, **kwargs)

    return process_plain


def _key_of(value: Any) -> Any:
    try:
        key, _ = value
    except (TypeError, ValueError):
        raise ValueError(
            f"Input value to a stateful DoFn or KeyParam must be a KV tuple; instead, got '{value}'."
        ) from None
    return key
