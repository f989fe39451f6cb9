"""Evidence files: the frames around each alert, read back from Kafka and kept as MCAP files.

May import streams, `judging`, `overlay` and `worker`. Never knows who reads the files: the review page and the
command line import from here. `mcap_reader` and `mcap_writer`, and what uses them, need the extra `evidence`.
"""
