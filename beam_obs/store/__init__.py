"""Reading what runs left, without Apache Beam: runs, their evidence, and the dead letters that they name."""
