"""Live cameras as sources of frames: RTSP, HTTP and USB, reconnected for as long as they are attached.

Connecting, decoding, capture times, what is wrong with a camera, and publishing it (`attach.py`). Imports `wire`,
`observability`, `recordings`; `attach.py` alone also what publishes. Must never show or log a credential.
"""
