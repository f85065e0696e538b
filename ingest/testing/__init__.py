"""Fakes and contract suites for authors of connectors; used by this project's own tests too."""
