"""The threads between Kafka and the review page: records in, corrections and server-sent events out.

Imports the store, the evidence reader and `streams`. Must not know HTTP requests or who may ask for what.
"""
