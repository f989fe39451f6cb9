"""ROS 2 bags and MCAP files: their files, their records, the pictures in their messages, and playing them.

Imports `wire` and the modules of `recordings` beside it. Knows nothing of topics in Kafka.
"""
