"""Kafka topic partitions into committed Parquet files."""
