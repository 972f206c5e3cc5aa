# The public names, each once: type checkers read them here, and `__init__.py` does (see lazy_names.py).

from beam_obs.metrics.families import Family as Family
from beam_obs.metrics.families import Sample as Sample
from beam_obs.metrics.job_numbers import JobNumbers as JobNumbers
from beam_obs.metrics.job_numbers import snapshot as snapshot
