"""What the stub of a W&B server answers beside runs: artifacts, the public API, views, sweeps.

Each is a mixin of `WandbStub`; a method `_Operation` answers the GraphQL operation of that name.
"""
# ruff: noqa: N802 (the methods have the operations' names)

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from support.wandb_stub import StubRun

ENTITY = "tester"
VIEWER = {
    "id": "1", "entity": ENTITY, "username": ENTITY, "name": ENTITY, "flags": "{}",
    "email": "tester@localhost", "admin": False, "deletedAt": None,
    "teams": {"edges": []}, "apiKeys": {"edges": []},
}  # fmt: skip
NO_PAGE = {"endCursor": None, "hasNextPage": False}


@dataclass(kw_only=True)
class StubArtifact:
    """One version of an artifact, and the run that made it."""

    name: str
    type: str
    run: str
    digest: str
    metadata: dict[str, Any]
    manifest: dict[str, Any] = field(default_factory=dict)
    state: str = "PENDING"


class Artifacts:
    """Artifacts as wandb uploads them: created, manifest, files, committed."""

    url: str
    artifacts: dict[str, StubArtifact]
    uploads: dict[str, bytes]

    def _CreateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        given = variables["input"]
        name, digest = given["artifactCollectionName"], given["digest"]
        key = f"{name}@{digest}"
        if key not in self.artifacts:
            self.artifacts[key] = StubArtifact(
                name=name,
                type=given["artifactTypeName"],
                run=given["runName"],
                digest=digest,
                metadata=json.loads(given["metadata"] or "{}"),
            )
        artifact = {
            "id": key, "state": self.artifacts[key].state,
            "artifactSequence": {"latestArtifact": None},
        }  # fmt: skip
        return {"createArtifact": {"artifact": artifact}}

    def _CreateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:
        key = variables["artifactID"] if "artifactID" in variables else variables["artifactId"]
        name = variables.get("name") or variables.get("filename")
        manifest = {
            "id": f"manifest of {key}",
            "file": {
                "id": "f", "name": name, "displayName": name, "uploadHeaders": [],
                "uploadUrl": f"{self.url}/artifact/{hashlib.md5(key.encode()).hexdigest()}/{name}",
            },
        }  # fmt: skip
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def _CreateArtifactFiles(self, variables: dict[str, Any]) -> dict[str, Any]:
        edges = []
        for file in variables["input"]["artifactFiles"]:
            name = file["name"]
            node = {
                "id": name, "name": name, "displayName": name, "uploadHeaders": [],
                "uploadUrl": f"{self.url}/artifact/{file['artifactID'].partition('@')[0]}/{name}",
                "uploadMultipartUrls": None, "storagePath": name,
                "artifact": {"id": file["artifactID"]},
            }  # fmt: skip
            edges.append({"node": node})
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        key = variables.get("artifactID") or variables["input"]["artifactID"]
        self.artifacts[key].state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": key, "digest": self.artifacts[key].digest}}}


class PublicApi:
    """What `wandb.Api` reads: runs, their whole history, reports."""

    runs: dict[str, StubRun]

    def _GetDefaultEntity(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "1", "entity": ENTITY}}

    def _Runs(self, variables: dict[str, Any]) -> dict[str, Any]:
        edges = [{"node": self._node(run), "cursor": run.name} for run in self.runs.values()]
        runs = {"edges": edges, "pageInfo": NO_PAGE}
        return {
            "project": {
                "internalId": "2", "runCount": len(edges), "readOnly": False, "runs": runs,
            }
        }  # fmt: skip

    def _Run(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"internalId": "2", "run": self._node(self.runs[variables["name"]])}}

    _RunHistoryKeys = _Run

    def _RunParquetHistory(self, variables: dict[str, Any]) -> dict[str, Any]:
        rows = self.runs[variables["runName"]].rows()
        live = [{"_step": row["_step"]} for row in rows]
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": live}}}}

    def _HistoryPage(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Rows in a range of steps; a server gives no more than `pageSize` of them, sampled."""
        run = self.runs[variables["run"]]
        steps = range(variables["minStep"], variables["maxStep"])
        page = [line for line in run.ordered_lines() if json.loads(line)["_step"] in steps]
        assert len(page) <= variables["pageSize"], "this page would be sampled"
        return {"project": {"run": {"history": page}}}

    def _node(self, run: StubRun) -> dict[str, Any]:
        """A run with every field that any of wandb's queries asks for."""
        rows = run.rows()
        return {
            "id": f"id-{run.name}", "projectId": "2", "name": run.name, "tags": run.tags,
            "displayName": run.display_name, "sweepName": run.sweep, "state": run.state(),
            "group": run.group, "jobType": run.job_type, "commit": None, "readOnly": False,
            "createdAt": "2026-01-01T00:00:00Z", "heartbeatAt": "2026-01-01T00:00:00Z",
            "description": "", "notes": "", "historyLineCount": len(rows),
            "user": {"name": ENTITY, "username": ENTITY},
            "config": json.dumps(run.config), "systemMetrics": "{}",
            "summaryMetrics": json.dumps(run.summary),
            "historyKeys": {"lastStep": max((row["_step"] for row in rows), default=-1)},
        }  # fmt: skip


@dataclass(kw_only=True)
class StubView:
    """A saved view of a project (`project-view`), or a report (`runs`)."""

    id: str
    type: str
    name: str
    display_name: str
    spec: dict[str, Any]
    num_writes: int = 0


class Views:
    """Saved views and reports, as wandb-workspaces reads and writes them."""

    views: dict[str, StubView]

    def _UpsertView2(self, variables: dict[str, Any]) -> dict[str, Any]:
        view_id = variables.get("id") or f"view-{len(self.views) + 1}"
        is_new = view_id not in self.views
        view = self.views.setdefault(
            view_id,
            StubView(
                id=view_id, type=variables["type"], name=variables["name"], display_name="", spec={}
            ),
        )
        view.display_name, view.spec = variables["displayName"], json.loads(variables["spec"])
        view.num_writes += 1
        node = {
            **self._view(view), "project": {"id": "2", "name": "normlab", "entityName": ENTITY},
            "description": variables["description"], "updatedAt": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        return {"upsertView": {"view": node, "inserted": is_new}}

    _upsertView = _UpsertView2  # noqa: N815

    def _View(self, variables: dict[str, Any]) -> dict[str, Any]:
        return self._views(variables["viewType"], variables["viewName"])

    def _ProjectViews(self, variables: dict[str, Any]) -> dict[str, Any]:
        return self._views("runs", None)

    def _views(self, view_type: str, name: str | None) -> dict[str, Any]:
        found = [
            view
            for view in self.views.values()
            if view.type == view_type and name in (None, view.name)
        ]
        edges = [{"node": self._view(view), "cursor": view.id} for view in found]
        views = {"edges": edges, "pageInfo": NO_PAGE}
        return {"project": {"id": "2", "internalId": "2", "allViews": views}}

    def _view(self, view: StubView) -> dict[str, Any]:
        return {
            "id": view.id, "name": view.name, "displayName": view.display_name, "type": view.type,
            "spec": json.dumps(view.spec), "description": "", "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z", "previewUrl": None,
            "user": {"username": ENTITY, "photoUrl": None, "email": None},
        }  # fmt: skip

    def _ProjectInternalId(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"id": "2", "internalId": "2"}}

    def _GetProjects(self, variables: dict[str, Any]) -> dict[str, Any]:
        node = {
            "id": "2", "name": "normlab", "entityName": ENTITY, "isBenchmark": False,
            "createdAt": "2026-01-01T00:00:00Z", "user": VIEWER,
        }  # fmt: skip
        return {"models": {"pageInfo": NO_PAGE, "edges": [{"node": node, "cursor": "c"}]}}


class Sweeps:
    """Grid sweeps, handed out point by point to whichever agent asks."""

    sweeps: dict[str, dict[str, Any]]
    handed_out: dict[str, int]

    def _UpsertSweep(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = f"sweep{len(self.sweeps) + 1}"
        self.sweeps[name] = yaml.safe_load(variables["config"])
        self.handed_out[name] = 0
        project = {"id": "2", "name": "normlab", "entity": {"id": "3", "name": ENTITY}}
        return {
            "upsertSweep": {
                "sweep": {"name": name, "project": project},
                "configValidationWarnings": [],
            }
        }

    def _SweepWithRuns(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"sweep": self._sweep(variables["sweep"])}}

    _Sweep = _SweepWithRuns

    def _sweep(self, name: str) -> dict[str, Any]:
        return {
            "id": name, "name": name, "bestLoss": None, "controller": None, "scheduler": None,
            "state": "RUNNING", "priorRuns": {"edges": []}, "runs": {"edges": []},
            "method": "grid", "config": yaml.safe_dump(self.sweeps[name]), "heartbeatAt": None,
            "createdAt": "2026-01-01T00:00:00Z", "description": None, "displayName": name,
        }  # fmt: skip

    def _CreateAgent(self, variables: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": variables["sweep"]}}}

    def _Heartbeat(self, variables: dict[str, Any]) -> dict[str, Any]:
        """One run at a time; an agent that still carries one out gets nothing to do."""
        name = variables["id"]
        commands: list[dict[str, Any]] = []
        if not json.loads(variables.get("runState") or "{}"):
            points = self._points(name)
            if self.handed_out[name] < len(points):
                number = self.handed_out[name] = self.handed_out[name] + 1
                commands = [
                    {"type": "run", "run_id": f"{name}-{number}",
                     "program": self.sweeps[name]["program"], "args": points[number - 1]}
                ]  # fmt: skip
            else:
                commands = [{"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": name}, "commands": json.dumps(commands)}}

    def _points(self, name: str) -> list[dict[str, dict[str, Any]]]:
        parameters = self.sweeps[name]["parameters"]
        lists = [one.get("values", [one.get("value")]) for one in parameters.values()]
        return [
            {key: {"value": value} for key, value in zip(parameters, values, strict=True)}
            for values in itertools.product(*lists)
        ]
