"""Files straight into the warehouse, once, with an end."""
