"""Finished files: when one counts as finished, what it is, its content, and what becomes of it when Kafka has it."""
