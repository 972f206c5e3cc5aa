"""Providers of restrictions and watermark estimators, which see the element: here they see it plain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apache_beam.transforms.core import RestrictionProvider, WatermarkEstimatorProvider
from apache_beam.utils.windowed_value import WindowedValue

from beam_obs.wrapper.element_forms import PLAIN, SEED, unpack


class WovenRestrictionProvider(RestrictionProvider):
    """Does what `provider` does, on plain elements.

    Args:
      provider: the user's.
      takes: form of the elements.
    """

    def __init__(self, provider: RestrictionProvider, takes: str) -> None:
        self._provider = provider
        self._takes = takes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_provider":
            raise AttributeError(name)
        return getattr(self._provider, name)

    def create_tracker(self, restriction: Any) -> Any:
        return self._provider.create_tracker(restriction)

    def initial_restriction(self, element: Any) -> Any:
        return self._provider.initial_restriction(self._plain(element))

    def split(self, element: Any, restriction: Any) -> Iterable[Any]:
        return self._provider.split(  # type: ignore[no-any-return]
            self._plain(element), restriction
        )

    def restriction_coder(self) -> Any:
        return self._provider.restriction_coder()

    def restriction_size(self, element: Any, restriction: Any) -> Any:
        return self._provider.restriction_size(self._plain(element), restriction)

    def split_and_size(self, element: Any, restriction: Any) -> Iterable[Any]:
        return self._provider.split_and_size(  # type: ignore[no-any-return]
            self._plain(element), restriction
        )

    def truncate(self, element: Any, restriction: Any) -> Any:
        return self._provider.truncate(self._plain(element), restriction)

    def _plain(self, element: Any) -> Any:
        return plain_element(self._takes, element)


class WovenWatermarkEstimatorProvider(WatermarkEstimatorProvider):
    """Does what `provider` does, on plain elements.

    Args:
      provider: the user's.
      takes: form of the elements.
    """

    def __init__(self, provider: WatermarkEstimatorProvider, takes: str) -> None:
        self._provider = provider
        self._takes = takes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_provider":
            raise AttributeError(name)
        return getattr(self._provider, name)

    def initial_estimator_state(self, element: Any, restriction: Any) -> Any:
        return self._provider.initial_estimator_state(plain_element(self._takes, element), restriction)

    def create_watermark_estimator(self, estimator_state: Any) -> Any:
        return self._provider.create_watermark_estimator(estimator_state)

    def estimator_state_coder(self) -> Any:
        return self._provider.estimator_state_coder()


def plain_element(takes: str, element: Any) -> Any:
    """Returns the user's element; Beam hands over a windowed one where it splits at a window."""
    if takes in (PLAIN, SEED):
        return element
    if isinstance(element, WindowedValue):
        return element.with_value(unpack(takes, element.value)[1])
    return unpack(takes, element)[1]
