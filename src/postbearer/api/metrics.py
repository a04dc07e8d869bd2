"""The page of metrics, for Prometheus."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from postbearer.api.endpoint import ApiEndpoint, Call

TEXT: Final = "text/plain; version=0.0.4"  # the text format of Prometheus


async def metrics(call: Call) -> Response:
    """The page that was made last."""
    return Response(await call.services.metrics(), media_type=TEXT)


ENDPOINTS = (
    ApiEndpoint(
        name="metrics",
        method="GET",
        path="/metrics",
        needs=None,
        summary="Numbers about the relay, in the text format of Prometheus.",
        do=metrics,
        media_type="text/plain",
        health=True,
    ),
)
