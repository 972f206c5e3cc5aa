"""PTransforms that users compose: Stage, and the homes of dead letters."""
