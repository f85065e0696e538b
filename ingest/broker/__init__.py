"""Everything that speaks Kafka; nothing else in the house imports its client."""
