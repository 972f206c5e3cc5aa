"""What a Check of ten assumptions costs per record: `python -m benchmarks.check`.

200,000 flights in one fused bundle of the FnApiRunner, in CPU time of the process: a bare Map that passes
its record on, a Map whose function has the same ten conditions written by hand, and the Check; as dicts
and as named tuples. The figure is of the whole step as Beam runs it: what the pipeline with the step
takes beyond the one without any.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

import beam_obs as obs
from benchmarks.measure import Verdict, in_turn, paired_difference, print_verdicts, process_seconds

RECORDS = 200_000
ROUNDS = 7
TARGET_NS = 1500

CARRIERS = frozenset("9E AA AS B6 DL EV F9 FL HA MQ OO UA US VX WN YV".split())
AIRPORTS = frozenset(f"A{number:02d}" for number in range(100)) | {"IAH"}
TAIL = re.compile(r"N[0-9A-Z]+")


class Flight(NamedTuple):
    """A flight as the pipeline of flights has it."""

    carrier: str = "UA"
    number: int = 1545
    tail: str = "N14228"
    origin: str = "EWR"
    destination: str = "IAH"
    departure: int = 517
    arrival: int = 830
    delay: float = 2.0
    distance: int = 1400


FLIGHT = Flight()
FLIGHT_DICT = FLIGHT._asdict()

ASSUMPTIONS = (
    obs.not_null("carrier"),
    obs.one_of("carrier", CARRIERS),
    obs.one_of("origin", {"EWR", "JFK", "LGA"}),
    obs.one_of("destination", AIRPORTS),
    obs.between("departure", 0, 2400, allow_none=True),
    obs.between("arrival", 0, 2400, allow_none=True),
    obs.between("delay", -180, 2880, allow_none=True),
    obs.of_type("distance", int),
    obs.matches("tail", TAIL, allow_none=True),
    obs.holds("has a number", lambda number: number > 0, "number"),
)


def by_hand(flight: Any) -> Any:
    """The same ten conditions as code, on a dict."""
    if flight["carrier"] is None:
        raise ValueError("carrier is None")
    if flight["carrier"] not in CARRIERS:
        raise ValueError(f"carrier {flight['carrier']!r}")
    if flight["origin"] not in {"EWR", "JFK", "LGA"}:
        raise ValueError(f"origin {flight['origin']!r}")
    if flight["destination"] not in AIRPORTS:
        raise ValueError(f"destination {flight['destination']!r}")
    for name in ("departure", "arrival"):
        if flight[name] is not None and not 0 <= flight[name] <= 2400:
            raise ValueError(f"{name} {flight[name]}")
    if flight["delay"] is not None and not -180 <= flight["delay"] <= 2880:
        raise ValueError(f"delay {flight['delay']}")
    if not isinstance(flight["distance"], int):
        raise TypeError(f"distance {flight['distance']!r}")
    if flight["tail"] is not None and not TAIL.fullmatch(flight["tail"]):
        raise ValueError(f"tail {flight['tail']!r}")
    if not flight["number"] > 0:
        raise ValueError(f"number {flight['number']}")
    return flight


def same(record: Any) -> Any:
    return record


def run(record: Any, records: int, transform: Callable[[], Any] | None) -> None:
    """Sends a record through a step, again and again.

    Args:
      record: the record.
      records: how often.
      transform: makes the step, with its label; None for none.
    """
    with beam.Pipeline("FnApiRunner", PipelineOptions([])) as pipeline:
        flights = (
            pipeline
            | "start" >> beam.Impulse()
            | "repeat" >> beam.FlatMap(lambda _: [record] * records).with_output_types(type(record))
        )
        if transform is not None:
            flights |= transform()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure what a Check of ten assumptions costs.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--records", type=int, default=RECORDS, help="default: %(default)s")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    arguments = parser.parse_args(argv)
    logging.disable(logging.WARNING)

    steps: dict[str, tuple[Any, Callable[[], Any] | None]] = {}
    for kind, record in (("dict", FLIGHT_DICT), ("named tuple", FLIGHT)):
        steps[f"{kind}, no step"] = (record, None)
        steps[f"{kind}, bare Map"] = (record, lambda: "step" >> beam.Map(same))
        steps[f"{kind}, Check"] = (record, lambda: "step" >> obs.Check(*ASSUMPTIONS))
    steps["dict, Map by hand"] = (FLIGHT_DICT, lambda: "step" >> beam.Map(by_hand))
    runs = {
        name: partial(process_seconds, partial(run, record, arguments.records, transform))
        for name, (record, transform) in steps.items()
    }
    samples = in_turn(runs, arguments.rounds, lambda text: print(text, file=sys.stderr, flush=True))

    print(f"\n{len(ASSUMPTIONS)} assumptions, {arguments.records:,} records, {arguments.rounds} rounds.")
    print("CPU nanoseconds per record of the step, medians of paired differences\n")
    costs = {
        name: paired_difference(samples, name, f"{name.split(', ')[0]}, no step") * 1e9 / arguments.records
        for name in samples
    }
    for name, nanoseconds in costs.items():
        if not name.endswith("no step"):
            print(f"  {name:<24}{nanoseconds:>8.0f}")
    print()
    met = print_verdicts(
        [
            Verdict(name, f"{costs[name]:.0f} ns", f"<= {TARGET_NS} ns", costs[name] <= TARGET_NS)
            for name in costs
            if name.endswith("Check")
        ]
    )
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
