"""The numbers of a job, from any runner's result: `snapshot`. ::

    import beam_obs.metrics
    numbers = beam_obs.metrics.snapshot(result)
    numbers.family("rows_total").samples

Besides, what counts on workers, and how what they counted is read.
"""

from __future__ import annotations

from beam_obs.records.lazy_names import LazyNames

_NAMES = LazyNames(globals())
__all__ = _NAMES.all
__getattr__ = _NAMES.find


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
