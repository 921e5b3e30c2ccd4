"""Where a result comes from: code, versions, machine, command, as far as they can be found."""

from __future__ import annotations

import os
import platform
import shlex
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from normlab.config.places import is_checkout, packed_root

DIFF_CAP_BYTES = 256 * 1024
"""Uncommitted changes are kept up to this size; beyond, the record says they were cut."""

NUM_UNTRACKED_NAMED = 100
GIT_TIMEOUT_SECONDS = 20.0
PACKAGES = ("torch", "torchvision", "numpy", "hydra-core", "wandb", "normlab")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Facts for provenance.json, and the uncommitted changes (None: none, or no repository)."""

    facts: dict[str, Any]
    diff: bytes | None


def provenance(device: str, num_threads: int | None, data_checksum: str) -> Provenance:
    """The provenance of a run about to start.

    What cannot be found out (no git, no repository, a package that is not installed) is absent.
    Code and versions are looked up once a process: they are those of the code it has loaded.
    """
    code_facts, diff = _own_code()
    facts = {
        **code_facts,
        "versions": _versions(),
        "device": device,
        "device_name": _device_name(device),
        "num_threads": num_threads,
        "data_checksum": data_checksum,
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "command": _command(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Provenance(
        facts={key: value for key, value in facts.items() if value is not None}, diff=diff
    )


def _own_code() -> tuple[dict[str, Any], bytes | None]:
    """Of normlab's own repository alone: a wheel may lie in an environment inside somebody else's,
    whose commit and changes are not ours to keep."""
    return _code(packed_root()) if is_checkout() else ({}, None)


def _command() -> str:
    """The command line of this process, as one can type it again."""
    program, *words = sys.argv
    if Path(program).stem == "normlab":  # a program of its own, on the user's PATH
        return shlex.join(["normlab", *words])
    return shlex.join([Path(sys.executable).name, program, *words])


@cache
def _code(folder: Path) -> tuple[dict[str, Any], bytes | None]:
    """Of the repository whose top is this folder."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or Path(os.fsdecode(top.removesuffix(b"\n"))).resolve() != folder.resolve():
        return {}, None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}, None
    facts: dict[str, Any] = {"commit": commit.decode().strip()}
    changed = _git(folder, "status", "--porcelain", "-z")
    if changed is None:
        return facts, None
    facts["dirty"] = bool(changed)
    if not changed:
        return facts, None
    diff = _git(folder, "diff", "HEAD")
    entries = changed.decode(errors="replace").split("\0")
    untracked = [entry[3:] for entry in entries if entry.startswith("?? ")]
    if untracked:
        facts["untracked"] = untracked[:NUM_UNTRACKED_NAMED]
    if not diff:
        return facts, None
    is_cut = len(diff) > DIFF_CAP_BYTES
    facts["diff"] = {"cap_bytes": DIFF_CAP_BYTES, "truncated": is_cut}
    if is_cut:
        notice = f"\n[cut here: only the first {DIFF_CAP_BYTES} bytes are kept]\n"
        diff = diff[:DIFF_CAP_BYTES] + notice.encode()
    return facts, diff


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git prints; None where it is absent, refuses, or takes too long."""
    try:
        finished = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            timeout=GIT_TIMEOUT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout if finished.returncode == 0 else None


@cache
def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _device_name(device: str) -> str | None:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(torch.device(device))
    return _processor_name()


@cache
def _processor_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or None


def current_commit() -> str | None:
    """The commit the loaded code belongs to; None where it is no checkout of normlab."""
    commit: str | None = _own_code()[0].get("commit")
    return commit
