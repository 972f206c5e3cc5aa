"""A user's WindowFn that looks at elements, on woven elements."""

from __future__ import annotations

from typing import Any

from apache_beam.transforms.window import WindowFn

from beam_obs.wrapper.element_forms import unpack


class WovenWindowFn(WindowFn):
    """Assigns the windows that `window_fn` assigns to the plain element.

    Args:
      window_fn: the user's.
      takes: form of the elements.
    """

    def __init__(self, window_fn: WindowFn, takes: str) -> None:
        self._window_fn = window_fn
        self._takes = takes

    def assign(self, assign_context: WindowFn.AssignContext) -> Any:
        plain = WindowFn.AssignContext(
            assign_context.timestamp,
            unpack(self._takes, assign_context.element)[1],
            assign_context.window,
        )
        return self._window_fn.assign(plain)

    def merge(self, merge_context: WindowFn.MergeContext) -> Any:
        return self._window_fn.merge(merge_context)

    def is_merging(self) -> bool:
        return bool(self._window_fn.is_merging())

    def get_window_coder(self) -> Any:
        return self._window_fn.get_window_coder()

    def get_transformed_output_time(self, window: Any, input_timestamp: Any) -> Any:
        return self._window_fn.get_transformed_output_time(window, input_timestamp)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WovenWindowFn) and self._window_fn == other._window_fn

    def __hash__(self) -> int:
        return hash((WovenWindowFn, self._takes))
