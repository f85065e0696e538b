"""Application logs to Kafka to Parquet: every line exactly once."""

__version__ = "0.1.0"
