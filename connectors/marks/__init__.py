"""Marks of content, by which a file is known again whatever it is called."""
