"""Instruments written on workers, and snapshots of them read from any runner."""
