"""Bytes that can't be read twice, kept on disk until Kafka has them; shared by sources that listen or run commands."""
