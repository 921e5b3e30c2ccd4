"""Read a `.wandb` transaction log back (W&B ships no reader): a LevelDB log of protobuf records."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 32768
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _LAST = 1, 2, 4


@dataclass(kw_only=True)
class OfflineRun:
    """What one `.wandb` file says."""

    run_id: str = ""
    name: str = ""
    project: str = ""
    entity: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None

    def metric_rows(self) -> list[dict[str, Any]]:
        """The rows without W&B's own `_step`, `_runtime`, `_timestamp`."""
        return [
            {key: value for key, value in row.items() if not key.startswith("_")}
            for row in self.rows
        ]


def read_offline_run(directory: Path) -> OfflineRun:
    """Read the one `.wandb` file in `directory`; a torn tail (a killed run) ends it early."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    (path,) = directory.glob("*.wandb")
    run = OfflineRun()
    for payload in _payloads(path.read_bytes()):
        record = Record()
        record.ParseFromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.run_id, run.name = record.run.run_id, record.run.display_name
            run.project, run.entity = record.run.project, record.run.entity
            run.group, run.job_type = record.run.run_group, record.run.job_type
            run.tags = list(record.run.tags)
            _update(run.config, record.run.config.update)
        elif kind == "config":
            _update(run.config, record.config.update)
        elif kind == "history":
            row: dict[str, Any] = {}
            _update(row, record.history.item)
            run.rows.append(row)
        elif kind == "summary":
            _update(run.summary, record.summary.update)
        elif kind == "metric":
            run.metrics[record.metric.name] = record.metric
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _update(target: dict[str, Any], items: Any) -> None:
    for item in items:
        *parents, last = list(item.nested_key) or [item.key]
        node = target
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = json.loads(item.value_json)


def _payloads(content: bytes) -> Iterator[bytes]:
    assert content[:4] == b":W&B", content[:4]
    position, parts = 7, list[bytes]()
    while position < len(content):
        left = _BLOCK_BYTES - position % _BLOCK_BYTES
        if left < _HEADER.size:
            position += left
            continue
        if position + _HEADER.size > len(content):
            return
        checksum, length, kind = _HEADER.unpack_from(content, position)
        position += _HEADER.size
        data = content[position : position + length]
        if len(data) < length:
            return
        assert checksum == zlib.crc32(bytes([kind]) + data), "damaged record"
        position += length
        parts = [data] if kind in (_FULL, _FIRST) else [*parts, data]
        if kind in (_FULL, _LAST):
            yield b"".join(parts)
