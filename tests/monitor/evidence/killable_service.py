"""`gradwatch evidence` as a process for tests to kill, with a short session timeout so that its death shows at once.

python tests/monitor/evidence/killable_service.py BROKER FRAMES PREFIX FOLDER [PATIENCE_S]
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from gradwatch.monitor.evidence.folder import EvidenceFolder
from gradwatch.monitor.evidence.scan import WindowSource
from gradwatch.monitor.evidence.service import EvidenceService
from gradwatch.streams.observability.logs import configure_logging
from gradwatch.streams.transport.consumer import FrameConsumer
from gradwatch.streams.transport.producer import BoundedProducer
from gradwatch.streams.transport.ranges import TopicRanges
from gradwatch.streams.wire.topics import Topics

if __name__ == "__main__":
    configure_logging()
    broker, frames_topic, prefix, folder, *patience_s = sys.argv[1:]
    topics = Topics(prefix, frames_topic)
    files = EvidenceFolder(Path(folder), 10**10)
    with TopicRanges(broker) as ranges, BoundedProducer(broker) as producer:
        consumer = FrameConsumer(broker, topics.alerts, prefix + "evidence", session_timeout_s=2.0)
        service = EvidenceService(consumer, WindowSource(ranges, topics), producer, files, *map(float, patience_s))
        signal.signal(signal.SIGTERM, lambda *_: service.stop())
        service.run()
