"""What ingest is measured against, each as a careful person would write it; every module is a program."""
