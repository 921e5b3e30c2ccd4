"""A W&B server of our own on the loopback: real wandb clients log in, create runs and stream rows.

It answers what wandb 0.31 asks (GraphQL operations by name, file streams, file uploads) and keeps
what arrives, so that tests assert on it. `Behaviour` makes it refuse (401) or hang.
"""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.wandb_answers import (
    ENTITY,
    VIEWER,
    Artifacts,
    PublicApi,
    StubArtifact,
    StubView,
    Sweeps,
    Views,
)

__all__ = ["API_KEY", "ENTITY", "Behaviour", "StubArtifact", "StubRun", "WandbStub"]

API_KEY = "local-" + "0" * 40


class Behaviour(Enum):
    SERVE = "serve"
    REFUSE = "refuse"
    HANG = "hang"


@dataclass(kw_only=True)
class StubRun:
    """One run as the server holds it."""

    name: str
    display_name: str | None = None
    group: str | None = None
    job_type: str | None = None
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    lines: dict[int, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    complete: bool = False
    num_upserts: int = 0
    sweep: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    def state(self) -> str:
        if not self.complete:
            return "running"
        return {0: "finished", 255: "killed"}.get(self.exit_code or 0, "failed")

    def rows(self) -> list[dict[str, Any]]:
        """The history in the order of the stream."""
        return [json.loads(line) for line in self.ordered_lines()]

    def ordered_lines(self) -> list[str]:
        return [self.lines[offset] for offset in sorted(self.lines)]

    def metric_rows(self) -> list[dict[str, Any]]:
        """The rows without W&B's own `_step`, `_runtime`, `_timestamp`."""
        return [
            {key: value for key, value in row.items() if not key.startswith("_")}
            for row in self.rows()
        ]


class WandbStub(Artifacts, PublicApi, Views, Sweeps):
    """`with WandbStub() as stub: ...`; give `stub.environment` to the process that uses wandb."""

    def __init__(self, behaviour: Behaviour = Behaviour.SERVE) -> None:
        self.behaviour = behaviour
        self.runs: dict[str, StubRun] = {}
        self.artifacts: dict[str, StubArtifact] = {}
        self.uploads: dict[str, bytes] = {}
        self.views: dict[str, StubView] = {}
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.handed_out: dict[str, int] = {}
        self.operations: list[str] = []
        self.unanswered: list[str] = []
        self.num_refused = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._server.stub = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": API_KEY}

    def __enter__(self) -> WandbStub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        match = re.search(r"\b(?:query|mutation)\s+(\w+)", query)
        operation = match.group(1) if match else "?"
        self.operations.append(operation)
        answer = getattr(self, f"_{operation}", None)
        if answer is None:
            self.unanswered.append(operation)
            return {"data": None, "errors": [{"message": f"the stub does not know {operation}"}]}
        return {"data": answer(variables)}

    def _Viewer(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"viewer": VIEWER}

    def _UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = variables["name"]
        run = self.runs.setdefault(name, StubRun(name=name))
        run.num_upserts += 1
        run.display_name = variables.get("displayName") or run.display_name
        run.group = variables.get("groupName") or run.group
        run.job_type = variables.get("jobType") or run.job_type
        run.tags = variables.get("tags") or run.tags
        run.sweep = variables.get("sweep") or run.sweep
        if variables.get("config"):
            run.config = json.loads(variables["config"])
        project = {
            "id": "2", "name": variables.get("project") or "uncategorized",
            "entity": {"id": "3", "name": ENTITY},
        }  # fmt: skip
        bucket = {
            "id": f"id-{name}", "name": name, "displayName": run.display_name or name,
            "config": json.dumps(run.config), "sweepName": None, "historyLineCount": len(run.lines),
            "project": project,
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": run.num_upserts == 1}}

    def _RunResumeStatus(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        model = {
            "id": "2", "name": variables.get("project"), "entity": {"id": "3", "name": ENTITY},
            "bucket": None,
        }  # fmt: skip
        run = self.runs.get(variables["name"])
        if run is not None:
            last = [run.lines[offset] for offset in sorted(run.lines)][-1:]
            model["bucket"] = {
                "id": f"id-{run.name}", "name": run.name, "historyLineCount": len(run.lines),
                "eventsLineCount": 0, "logLineCount": 0, "historyTail": json.dumps(last),
                "eventsTail": "[]", "summaryMetrics": json.dumps(run.summary),
                "config": json.dumps(run.config), "wandbConfig": '{"t": 1}', "tags": run.tags,
            }  # fmt: skip
        return {"model": model}

    def _CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = variables["run"]
        files = [
            {"name": file, "uploadUrl": f"{self.url}/upload/{name}/{file}"}
            for file in variables["files"]
        ]
        return {"createRunFiles": {"runID": f"id-{name}", "uploadHeaders": [], "files": files}}

    def _OrganizationCoreWeaveOrganizationID(  # noqa: N802
        self, _: dict[str, Any]
    ) -> dict[str, Any]:
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def file_stream(self, name: str, body: dict[str, Any]) -> None:
        run = self.runs.setdefault(name, StubRun(name=name))
        files = body.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            offset = history["offset"]
            run.lines.update(
                {offset + index: line for index, line in enumerate(history["content"])}
            )
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        if body.get("complete"):
            run.complete, run.exit_code = True, body.get("exitcode")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    @property
    def stub(self) -> WandbStub:
        return self.server.stub  # type: ignore[attr-defined, no-any-return]

    def do_POST(self) -> None:
        body = self._body()
        if not self._behaves():
            return
        if self.path == "/graphql":
            request = json.loads(body)
            with self.stub.lock:
                answer = self.stub.graphql(request["query"], request.get("variables") or {})
            self._answer(200, answer)
        elif match := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            with self.stub.lock:
                self.stub.file_stream(match.group(1), json.loads(body))
            self._answer(200, {"exitcode": None, "limits": {}})
        else:
            self._answer(404, {})

    def do_PUT(self) -> None:
        body = self._body()
        if not self._behaves():
            return
        if match := re.fullmatch(r"/upload/([^/]+)/(.+)", self.path):
            with self.stub.lock:
                self.stub.runs[match.group(1)].files[match.group(2)] = body
        elif match := re.fullmatch(r"/artifact/(.+)", self.path):
            with self.stub.lock:
                self.stub.uploads[match.group(1)] = body
        self._answer(200, {})

    def do_GET(self) -> None:
        if self._behaves():
            self._answer(404, {})

    def _behaves(self) -> bool:
        if self.stub.behaviour is Behaviour.REFUSE:
            self.stub.num_refused += 1
            self._answer(401, {"errors": [{"message": "unauthorized"}]})
        elif self.stub.behaviour is Behaviour.HANG:
            while not self.stub.closing.is_set():
                time.sleep(0.05)
            self.close_connection = True
        return self.stub.behaviour is Behaviour.SERVE

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(chunks)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
