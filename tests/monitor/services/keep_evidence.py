"""The evidence service as a process that tests may kill: `gradwatch evidence` but for how fast a dead member is missed.

python tests/monitor/services/keep_evidence.py BROKER FRAMES PREFIX FOLDER [PATIENCE_S]
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from gradwatch.monitor.services.evidence import EvidenceService
from gradwatch.monitor.services.folder import EvidenceFolder
from gradwatch.monitor.services.windows import WindowSource
from gradwatch.streams.logs import configure_logging
from gradwatch.streams.topics import Topics
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.ranges import TopicRanges

if __name__ == "__main__":
    configure_logging()
    broker, frames_topic, prefix, folder, *patience_s = sys.argv[1:]
    topics = Topics(prefix, frames_topic)
    kept = EvidenceFolder(Path(folder), 10**10)
    with TopicRanges(broker) as ranges, BoundedProducer(broker) as producer:
        consumer = FrameConsumer(broker, topics.alerts, prefix + "evidence", session_timeout_s=2.0)
        service = EvidenceService(consumer, WindowSource(ranges, topics), producer, kept, *map(float, patience_s))
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        service.run()
