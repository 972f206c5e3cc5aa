"""Where the reference tables are, and the names of their files."""

from __future__ import annotations

import pathlib

DATA = pathlib.Path(__file__).parent / "data"

AIRLINES = "airlines.csv"
AIRPORTS = "airports.csv"
ADDED_AIRPORTS = "airports_added.csv"
PLANES = "planes.csv"
WEATHER = "weather.csv"
