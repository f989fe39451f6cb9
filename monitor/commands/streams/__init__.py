"""Verbs about the streams on Kafka: publish cameras and recordings, set up the topics, look at dead letters."""
