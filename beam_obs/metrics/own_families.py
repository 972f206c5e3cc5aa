"""The families of metrics that are beam_obs' own: one table of their names, kinds and what they count.

Base units and ``_total`` as Prometheus' conventions have them. At most 30 in all.
"""

from __future__ import annotations

from collections.abc import Iterable

from beam_obs.metrics.families import COUNTER, GAUGE, HISTOGRAM, SUMMARY, Family, Sample

RECORDS_IN = "beam_obs_records_in_total"
RECORDS_OUT = "beam_obs_records_out_total"
RECORDS_DEAD = "beam_obs_records_dead_total"
RECORDS_FILTERED = "beam_obs_records_filtered_total"
RECORDS_DROPPED = "beam_obs_records_dropped_total"
RECORDS_LATE = "beam_obs_records_late_total"
RECORDS_RETRIED = "beam_obs_records_retried_total"
INTERNAL_ERRORS = "beam_obs_internal_errors_total"
LATENCY = "beam_obs_latency_seconds"
ELEMENTS = "beam_obs_elements_total"
ELEMENT_BYTES = "beam_obs_element_bytes"
WORKER_MEMORY = "beam_obs_worker_memory_bytes"
WORKER_MEMORY_LIMIT = "beam_obs_worker_memory_limit_bytes"
WORKER_CPU = "beam_obs_worker_cpu_seconds_total"
BUNDLES_FAILED = "beam_obs_bundles_failed_total"
EVENT_LAG = "beam_obs_event_lag_seconds"
OLDEST_UNPROCESSED = "beam_obs_oldest_unprocessed_seconds"
WATERMARK = "beam_obs_watermark_timestamp_seconds"
RUN_INFO = "beam_obs_run_info"
RUN_STATUS = "beam_obs_run_status"
RUN_START = "beam_obs_run_start_timestamp_seconds"
RUN_DURATION = "beam_obs_run_duration_seconds"
RUN_LAST_SUCCESS = "beam_obs_run_last_success_timestamp_seconds"
RUN_BALANCED = "beam_obs_run_balanced"
RUN_DURATION_LIMIT = "beam_obs_run_duration_limit_seconds"
SCHEDULE_DUE = "beam_obs_schedule_due_timestamp_seconds"
PROBE_ATTEMPTS = "beam_obs_probe_attempts_total"
PROBE_SUCCESS = "beam_obs_probe_success"
PROBE_DURATION = "beam_obs_probe_duration_seconds"
EXPORTER_DROPPED = "beam_obs_exporter_dropped_total"

OWN_FAMILIES: dict[str, tuple[str, str]] = {
    RECORDS_IN: (COUNTER, "Records that a step took."),
    RECORDS_OUT: (COUNTER, "Records that a step passed on."),
    RECORDS_DEAD: (COUNTER, "Records that a stage refused, by type of error where it is known."),
    RECORDS_FILTERED: (COUNTER, "Records of which a stage gave nothing."),
    RECORDS_DROPPED: (COUNTER, "Records that came too late for their window."),
    RECORDS_LATE: (COUNTER, "Records that came late for their window, and were taken all the same."),
    RECORDS_RETRIED: (COUNTER, "Times that a stage tried a record again after a transient error."),
    INTERNAL_ERRORS: (COUNTER, "Errors of beam_obs itself, none of which stopped a record."),
    LATENCY: (HISTOGRAM, "Time that a stage took for a record, of those that were timed."),
    ELEMENTS: (COUNTER, "Elements of an output of a step, as Beam counts them."),
    ELEMENT_BYTES: (SUMMARY, "Sizes of encoded elements, as Beam samples them."),
    EVENT_LAG: (SUMMARY, "Age of elements at a step that groups them by window, of a sample of them."),
    OLDEST_UNPROCESSED: (GAUGE, "Age of the oldest that a step took and holds in a window that is open."),
    WATERMARK: (GAUGE, "Watermark of a stage of the runner's, of the steps that are in it."),
    WORKER_MEMORY: (GAUGE, "Resident memory of a worker process."),
    WORKER_MEMORY_LIMIT: (
        GAUGE,
        "Memory that a worker process can have: its own, and what its container or machine has left.",
    ),
    WORKER_CPU: (COUNTER, "Time of the processor that a worker process took since it works for the run."),
    BUNDLES_FAILED: (COUNTER, "Bundles of a worker process in which something was raised."),
    RUN_INFO: (GAUGE, "What is known of a run; always 1."),
    RUN_STATUS: (GAUGE, "1 for the status that a run has."),
    RUN_START: (GAUGE, "When a run began."),
    RUN_DURATION: (GAUGE, "How long a run took, or has been running."),
    RUN_LAST_SUCCESS: (GAUGE, "When a run ended that is done."),
    RUN_BALANCED: (
        GAUGE,
        "1 where the balance holds, 0 where it does not; absent where nobody knows.",
    ),
    RUN_DURATION_LIMIT: (
        GAUGE,
        "How long a run may take: as its schedule says, else twice what 95 of 100 runs keep within.",
    ),
    SCHEDULE_DUE: (
        GAUGE,
        "When the earliest scheduled start that no run answered was due, or the next one will be.",
    ),
    PROBE_ATTEMPTS: (COUNTER, "How often a probe asked, by what came of it."),
    PROBE_SUCCESS: (GAUGE, "1 where the last answer to a probe was as expected, else 0."),
    PROBE_DURATION: (GAUGE, "How long the last answer to a probe took."),
    EXPORTER_DROPPED: (COUNTER, "Times that an exporter lost the numbers of a run."),
}
"""Name -> kind, and what it counts."""


def own_family(name: str, samples: Iterable[Sample]) -> Family:
    """Returns a family of the table.

    >>> own_family(RUN_BALANCED, [Sample("", value=1)]).kind
    'gauge'
    """
    kind, text = OWN_FAMILIES[name]
    return Family(name, kind, tuple(samples), text)
