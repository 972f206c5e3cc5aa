"""A store of a few runs that pages are tested on: orders read from a file, summed by customer, some refused.

python -m tests.web.stored_pipelines FOLDER    makes it, to look at by hand
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys

import apache_beam as beam

import beam_obs as obs

ORDERS = "order,customer,cents\n" + "".join(
    f"{number},customer-{number % 7},{'n/a' if number % 10 == 3 else 100 + number}\n"
    for number in range(1, 61)
)


def parse(row: str) -> tuple[str, int]:
    """Returns customer and cents of a row."""
    _, customer, cents = row.split(",")
    return customer, int(cents)


def parse_strictly(row: str) -> tuple[str, int]:
    """Returns customer and cents of a row; this version of the code knows fewer customers."""
    customer, cents = parse(row)
    if customer == "customer-6":
        raise LookupError(f"no such customer: {customer!r}")
    return customer, cents


def as_text(total: tuple[str, int]) -> str:
    """Returns a total as a line."""
    return f"{total[0]},{total[1]}"


def run_orders(folder: pathlib.Path, parsing: object = parse, *options: str) -> None:
    """Runs the pipeline once, in a folder that has the file of orders."""
    with obs.Pipeline("FnApiRunner", argv=list(options), name="orders", store=folder / "store") as pipeline:
        (
            pipeline
            | "read" >> obs.ReadFromText(str(folder / "orders.csv"), skip_header_lines=1)
            | "parse" >> obs.Stage(beam.Map(parsing))
            | "total" >> beam.CombinePerKey(sum)
            | "text" >> beam.Map(as_text)
            | "write" >> beam.io.WriteToText(str(folder / "totals"), file_name_suffix=".csv")
        )


def run_pipelines(folder: pathlib.Path) -> None:
    """Makes the store in a folder: four runs of `orders`, and one that fails of `broken-orders`."""
    (folder / "orders.csv").write_text(ORDERS)
    run_orders(folder)
    run_orders(folder)
    (folder / "orders.csv").write_text(ORDERS + "61,customer-1,161\n")
    run_orders(folder)
    run_orders(folder, parse_strictly)
    broken = obs.Pipeline("FnApiRunner", name="broken-orders", store=folder / "store")
    with contextlib.suppress(ValueError), broken as pipeline:
        _ = pipeline | beam.Create(["1,customer-1,100", "torn"]) | "parse" >> beam.Map(parse)


if __name__ == "__main__":
    made = pathlib.Path(sys.argv[1])
    os.makedirs(made)
    run_pipelines(made.absolute())
