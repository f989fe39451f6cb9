"""Kafka: the only place that imports the client library."""
