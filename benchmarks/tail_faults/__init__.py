"""What happens to lines when things happen to files: the same faults for `ingest ship` and for its peers."""
