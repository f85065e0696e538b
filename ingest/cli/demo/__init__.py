"""`ingest demo`: sample logs through a broker into Parquet, and the proof that nothing was lost or repeated."""
