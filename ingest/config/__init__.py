"""One TOML file: its tables, how it is read, and the catalogue of connectors it may name."""
