"""A stream in windows of a minute, with a poisonous message in it; Beam's TestStream stands for the broker.

python examples/streaming.py
"""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import FixedWindows, TimestampedValue

import beam_obs as obs


def messages():
    """Returns two minutes of messages."""
    return (
        TestStream()
        .add_elements(
            [TimestampedValue(text, second) for second, text in [(1, "3"), (30, "4"), (40, "poison")]]
        )
        .advance_watermark_to(60)
        .add_elements([TimestampedValue("5", 70)])
        .advance_watermark_to_infinity()
    )


def main():
    with obs.Pipeline("DirectRunner", PipelineOptions(["--streaming"]), name="meter") as p:
        (
            p
            | "receive" >> messages()
            | "parse" >> obs.Stage(beam.Map(int))
            | "minutes" >> beam.WindowInto(FixedWindows(60))
            | "total" >> beam.CombineGlobally(sum).without_defaults()
            | "print" >> beam.Map(lambda total, window=beam.DoFn.WindowParam: print(int(window.start), total))
        )


if __name__ == "__main__":
    main()
