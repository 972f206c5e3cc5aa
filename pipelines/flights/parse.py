"""From a row of a CSV file, a dict of texts, to a typed record. `NA` is how these files say "nothing".

A row that cannot be read raises an error that names the column: the Stage around these functions
makes it a dead letter.
"""

from __future__ import annotations

from pipelines.flights.records import Flight, Plane, Weather

Row = dict[str, str]

FLIGHT_COLUMNS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,"
    "tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
).split(",")
"""Header of the files of flights."""

NOTHING = "NA"


class MissingColumn(ValueError):
    """The row has no such column: the file's header is not the one expected."""


class NotANumber(ValueError):
    """The column holds a text where a number should be."""


def parse_flight(row: Row) -> Flight:
    """Returns the flight that a row of `flights-*.csv` describes.

    Raises:
      MissingColumn: a column is not there.
      NotANumber: a column is not a number where it should be one.
    """
    try:
        return Flight(
            day=f"{_whole(row, 'year'):04}-{_whole(row, 'month'):02}-{_whole(row, 'day'):02}",
            carrier=row["carrier"],
            number=_whole(row, "flight"),
            tail_number=_text_or_none(row, "tailnum"),
            origin=row["origin"],
            destination=row["dest"],
            scheduled_departure=_whole(row, "sched_dep_time"),
            departure=_whole_or_none(row, "dep_time"),
            departure_delay=_whole_or_none(row, "dep_delay"),
            scheduled_arrival=_whole(row, "sched_arr_time"),
            arrival=_whole_or_none(row, "arr_time"),
            arrival_delay=_whole_or_none(row, "arr_delay"),
            air_time=_whole_or_none(row, "air_time"),
            distance=_whole(row, "distance"),
            hour=row["time_hour"],
        )
    except KeyError as error:
        raise _missing(error, row) from None


def parse_plane(row: Row) -> Plane:
    """Returns the plane that a row of `planes.csv` describes; raises as `parse_flight` does."""
    try:
        return Plane(
            tail_number=row["tailnum"],
            year=_whole_or_none(row, "year"),
            manufacturer=row["manufacturer"],
            model=row["model"],
            seats=_whole(row, "seats"),
        )
    except KeyError as error:
        raise _missing(error, row) from None


def parse_weather(row: Row) -> Weather:
    """Returns the hour that a row of `weather.csv` describes; raises as `parse_flight` does."""
    try:
        return Weather(
            airport=row["origin"],
            hour=row["time_hour"],
            temperature=_decimal_or_none(row, "temp"),
            wind_speed=_decimal_or_none(row, "wind_speed"),
            precipitation=_decimal_or_none(row, "precip"),
            visibility=_decimal_or_none(row, "visib"),
        )
    except KeyError as error:
        raise _missing(error, row) from None


def parse_carrier(row: Row) -> tuple[str, str]:
    """Returns code and name of the carrier that a row of `airlines.csv` describes."""
    try:
        return row["carrier"], row["name"]
    except KeyError as error:
        raise _missing(error, row) from None


def parse_airport(row: Row) -> tuple[str, str]:
    """Returns code and name of the airport that a row of `airports*.csv` describes."""
    try:
        return row["faa"], row["name"]
    except KeyError as error:
        raise _missing(error, row) from None


def _whole(row: Row, column: str) -> int:
    try:
        return int(row[column])
    except ValueError:
        raise NotANumber(f"{column} is {row[column]!r}, expected a whole number") from None


def _whole_or_none(row: Row, column: str) -> int | None:
    return None if row[column] == NOTHING else _whole(row, column)


def _decimal_or_none(row: Row, column: str) -> float | None:
    if row[column] == NOTHING:
        return None
    try:
        return float(row[column])
    except ValueError:
        raise NotANumber(f"{column} is {row[column]!r}, expected a number") from None


def _text_or_none(row: Row, column: str) -> str | None:
    return None if row[column] == NOTHING else row[column]


def _missing(error: KeyError, row: Row) -> MissingColumn:
    return MissingColumn(f"no column {error}; the file's header has {', '.join(row)}")
