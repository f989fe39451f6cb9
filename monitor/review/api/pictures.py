"""Answers with pictures: an ETag lets a browser download each only once."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from gradwatch.streams.wire.messages import FrameStamp

from .problems import Responses

BINARY = {"type": "string", "format": "binary"}
PICTURE: Responses = {
    200: {
        "description": "The picture; its headers identify the frame.",
        "content": {"image/jpeg": {"schema": BINARY}, "image/png": {"schema": BINARY}},
    },
    304: {"description": "not modified"},
}
JSON_CONTENT: dict[str, Any] = {
    "description": "foxglove.ImageAnnotations",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


def picture_response(request: Request, content: bytes, encoding: str, stamp: FrameStamp, variant: str) -> Response:
    """A picture, or 304 if the browser has it."""
    identity = stamp.identity
    etag = f'"{identity.run_id}-{identity.seq}-{variant}"'
    headers = {
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "X-Run-Id": identity.run_id,
        "X-Seq": str(identity.seq),
        "X-Capture-Ns": str(stamp.capture_ns),
        "X-Published-Ns": str(stamp.published_ns),
    }
    if is_cached(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=encoding)


def is_cached(request: Request, etag: str) -> bool:
    """Whether the browser has a copy with this `etag`."""
    offered = request.headers.get("If-None-Match", "")
    return etag in {one.strip().removeprefix("W/") for one in offered.split(",")}
