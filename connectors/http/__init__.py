"""Requests that bring lines: what is in them, and who answers."""
