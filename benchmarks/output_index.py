"""What the output index takes for a record: `python -m benchmarks.output_index`.

Nanoseconds to know a record by its content, as the step before a sink does for each: a line of text, a dict
of three fields, and a flight with its plane and its weather nested in it; beside it what json takes to write
the same bytes, where the index needs JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import timeit
from functools import partial
from typing import Any

from beam_obs.records.record_content import output_digest, record_content
from benchmarks.measure import in_turn

ROUNDS = 9
NUMBER = 20_000
FLIGHT: dict[str, Any] = {
    "day": "2013-01-01",
    "carrier": "UA",
    "number": 1545,
    "tail_number": "N14228",
    "origin": "EWR",
    "destination": "IAH",
    "scheduled_departure": 515,
    "departure": 517,
    "departure_delay": 2,
    "scheduled_arrival": 819,
    "arrival": 830,
    "arrival_delay": 11,
    "air_time": 227,
    "distance": 1400,
    "hour": "2013-01-01T10:00:00Z",
    "carrier_name": "United Air Lines Inc.",
    "plane": {
        "tail_number": "N14228",
        "year": 1999,
        "manufacturer": "BOEING",
        "model": "737-824",
        "seats": 149,
    },
    "weather": {"airport": "EWR", "temperature": 39.02, "humidity": 59.37, "wind_speed": 12.66, "rain": 0.0},
}
RECORDS: dict[str, Any] = {
    "line of text": "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T05:00:00Z",
    "dict of 3 fields": {"carrier": "UA", "count": 12, "delay": 2.5},
    "flight, 28 fields": FLIGHT,
}
_by_json = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def _noted(record: Any) -> bytes:
    return output_digest(record_content(record))


def _written_by_json(record: Any) -> bytes:
    return _by_json(record).encode("utf-8", "surrogatepass")


def main(argv: list[str] | None = None) -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description="Measure what the output index takes for a record.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    ways = {"the index": _noted, "json alone": _written_by_json}
    print(f"nanoseconds for each record, medians of {arguments.rounds} rounds in turn\n")
    print(f"  {'':<20}" + "".join(f"{way:>14}" for way in ways))
    for name, record in RECORDS.items():
        timed = {
            way: partial(timeit.timeit, partial(take, record), number=NUMBER)
            for way, take in ways.items()
            if take is _noted or not isinstance(record, str)
        }
        samples = in_turn(timed, arguments.rounds)
        figures = [statistics.median(taken) / NUMBER * 1e9 for taken in samples.values()]
        print(f"  {name:<20}" + "".join(f"{figure:>14,.0f}" for figure in figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
