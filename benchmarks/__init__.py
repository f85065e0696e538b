"""Measures ingest beside its peers on the same data in the same run; `scripts/bench` runs it."""
