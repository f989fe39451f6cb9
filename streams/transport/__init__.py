"""Kafka: consumer, producer, readers of topics, administration, local brokers. No other folder imports the client.

Imports wire/ and observability/. Handles keys and values as bytes: it decodes no message.
"""
