"""The review database: its tables, the actions on them, and the accounts of those who may act.

Imports only `streams.wire`, the log scrubber and the settings of the review. Must not know Kafka readers or
HTTP: every function takes an open session, and the caller owns the transaction.
"""
