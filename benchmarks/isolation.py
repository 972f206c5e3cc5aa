"""What it costs a record that its code runs in a process of its own: `python -m benchmarks.isolation`.

Prints the time of a round trip for some sizes of records, and of starting a process, on the machine as it is.
"""

from __future__ import annotations

import time

import apache_beam as beam

from beam_obs.wrapper.isolation import IsolatedDoFn, Isolation
from beam_obs.wrapper.user_callable import UserCallable, user_callable

SIZES = (10, 1_000, 100_000, 10_000_000)
SECONDS = 1.0


def main() -> None:
    """Measures and prints."""
    dofn = beam.Map(_same).fn
    began = time.perf_counter()
    isolated = IsolatedDoFn(dofn, Isolation(timeout=60), "step")
    isolated.setup()
    print(f"start of a process            {time.perf_counter() - began:>12.2f} s")
    called: UserCallable = isolated.around(user_callable(dofn))
    for size in SIZES:
        record = {"payload": b"x" * size}
        called.function(record)
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            called.function(record)
            count += 1
        micros = (time.perf_counter() - began) / count * 1e6
        print(f"record of {size:>10,} bytes    {micros:>12,.0f} us")
    isolated.teardown()


def _same(record: dict[str, bytes]) -> dict[str, bytes]:
    return record


if __name__ == "__main__":
    main()
