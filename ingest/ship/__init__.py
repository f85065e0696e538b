"""Blocks of lines from sources into Kafka, and the checkpoint that remembers how far."""
