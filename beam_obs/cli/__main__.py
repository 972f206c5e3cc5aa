"""`python -m beam_obs.cli`, the same as `beam-obs`."""

from beam_obs.cli.main import main

main()
