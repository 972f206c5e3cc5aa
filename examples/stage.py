"""A step that meets bad records: they become dead letters, the others go on.

python examples/stage.py
beam-obs dead-letters list latest
"""

import apache_beam as beam

import beam_obs as obs

READINGS = ["Oslo,-4.5", "Lima,19", "Cairo,warm", "Quito"]


def parse(line):
    city, temperature = line.split(",")
    return {"city": city, "temperature": float(temperature)}


def main():
    with obs.Pipeline("DirectRunner", name="readings") as p:
        readings = (
            p
            | "read" >> beam.Create(READINGS)
            # By default a run fails where more than half of a stage's records are bad, from a hundred on.
            | "parse" >> obs.Stage(beam.Map(parse))
        )
        readings | "print" >> beam.Map(print)


if __name__ == "__main__":
    main()
