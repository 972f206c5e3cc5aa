"""Files on any of Beam's filesystems: found, uncompressed, and told from their other versions."""
