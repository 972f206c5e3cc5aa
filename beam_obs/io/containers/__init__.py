"""Files of blocks: Avro's, and Parquet's row groups."""
