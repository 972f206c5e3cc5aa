"""How PromQL of Google Cloud Monitoring names what beam_obs writes there.

https://cloud.google.com/monitoring/promql/promql-mapping
"""

from __future__ import annotations

from beam_obs.alerts.promql import Naming

_DOMAIN = "custom_googleapis_com:"
_OF_DATAFLOW, _OF_OTHERS = "dataflow_job", "generic_task"


def cloud_naming(runner: str) -> Naming:
    """Returns how the numbers of runs on a runner are called.

    >>> cloud_naming("PrismRunner").selector("beam_obs_run_balanced", {})
    'custom_googleapis_com:beam_obs_run_balanced{monitored_resource="generic_task"}'
    """
    resource = _OF_DATAFLOW if runner == "DataflowRunner" else _OF_OTHERS
    return Naming(_DOMAIN, {"monitored_resource": resource}, is_told_once=True)
