"""What a type checker must find: each line that ends with a mark has one error, and no other line any."""

import apache_beam as beam

import beam_obs as obs
import beam_obs.lineage as lineage


def misuse() -> None:
    obs.Stage(beam.Map(int), max_dead_rate="half")  # wrong
    obs.Check("age")  # wrong
    obs.ReadFromText()  # wrong
    obs.Store(5)  # wrong
    lineage.why(1)  # wrong
    obs.NoSuchName()  # wrong
    lineage.no_such_question()  # wrong
    obs.Pipeline(store=5)  # wrong
    obs.Stage(beam.Map(int), partial="no")  # wrong
    obs.Stamp("label")  # wrong
    obs.ReadFromCsv("in.csv", redact=5)  # wrong
