"""The one place that builds concrete objects from a configuration."""
