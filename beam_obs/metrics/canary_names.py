"""Names of the instruments that tell of canaries, each with the label ``canary``."""

from __future__ import annotations

CANARIES_SENT = "canaries_sent"
CANARIES_ARRIVED = "canaries_arrived"
CANARIES_WRONG = "canaries_wrong"
CANARY_LATENCY = "canary_latency_seconds"
