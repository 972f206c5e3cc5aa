"""Numbers of runs, sent to where people watch: one file for each target."""
