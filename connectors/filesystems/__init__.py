"""Built-in connectors; they import only `ingest.api`, like any other plug-in."""
