"""A composite of your own under one Stage: each step inside that runs your code is guarded, and named.

python examples/composite.py
"""

import json

import apache_beam as beam

import beam_obs as obs

ORDERS = ['{"item": "tea", "cents": 350}', '{"item": "cake"}', "not JSON", '{"item": "tea", "cents": 375}']


class Revenue(beam.PTransform):
    """Gives pairs of an item and what it brought in, in cents."""

    def expand(self, lines):
        return (
            lines
            | "parse" >> beam.Map(json.loads)
            | "pair" >> beam.Map(lambda order: (order["item"], order["cents"]))
            | "sum" >> beam.CombinePerKey(sum)
        )


def main():
    with obs.Pipeline("DirectRunner", name="revenue") as p:
        revenue, refused = (
            p | "orders" >> beam.Create(ORDERS) | "revenue" >> obs.Stage(Revenue()).with_dead_letters()
        )
        revenue | "print" >> beam.Map(print)
        refused | "say" >> beam.Map(
            lambda letter: print(f"{letter.stage}: {letter.error_type}: {letter.payload_text}")
        )


if __name__ == "__main__":
    main()
