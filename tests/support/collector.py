"""A collector of OTLP over HTTP on loopback, written small."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from relay.running import eventually


class Collector:
    """What was exported: spans, and the attributes of the resource that they are of."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resource: dict[str, str] = {}
        self.headers: list[dict[str, str]] = []
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                octets = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    octets = gzip.decompress(octets)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                assert self.path == "/v1/traces"
                request = ExportTraceServiceRequest.FromString(octets)
                if collector.status == 200:
                    for each in request.resource_spans:
                        collector.resource = {
                            pair.key: pair.value.string_value for pair in each.resource.attributes
                        }
                        collector.spans += [span for scope in each.scope_spans for span in scope.spans]
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *said: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def named(self, name: str, count: int = 1) -> list[Any]:
        """The spans of that name, once there are so many."""
        return eventually(lambda: found if len(found := self._of(name)) >= count else None, 30)

    def _of(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
