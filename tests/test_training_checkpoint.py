"""Checkpoint files: what is written is read, and nothing else is taken for one or runs code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from support.runs import carried_out, planned, prepared

from normlab.training.checkpoint import Checkpoint
from normlab.training.trained import load_trained


def saved(path: Path) -> Checkpoint:
    _, _, setup = prepared()
    checkpoint = Checkpoint.of(3, setup.model, setup.optimizer)
    checkpoint.save(path)
    return checkpoint


class Malicious:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.witness,)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    path, witness = tmp_path / "checkpoint.pt", tmp_path / "witness"
    torch.save({"step": 0, "model": Malicious(witness), "optimizer": {}}, path)
    with pytest.raises(ValueError, match=r"checkpoint\.pt is not a checkpoint that can be read"):
        Checkpoint.load(path)
    assert not witness.exists()
    torch.load(path, weights_only=False)
    assert witness.exists()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "File is not a zip file"),
        (b"\0" * 10_000, "File is not a zip file"),
        ([], "it holds a list"),
        ({"step": 1, "model": {}}, "its optimizer is a NoneType"),
        ({"step": "1", "model": {}, "optimizer": {}}, "its step is a str"),
    ],
)
def test_another_file_is_named_with_the_way_out(tmp_path: Path, content: object, text: str) -> None:
    path = tmp_path / "checkpoint.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=re.escape(text)) as refusal:
        Checkpoint.load(path, "Do this.")
    assert str(refusal.value).startswith(f"{path} is not a checkpoint that can be read (")
    assert str(refusal.value).endswith(" Do this.")


def test_a_bit_that_flipped_is_found_wherever_numbers_are(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    weights = next(iter(saved(path).model.values()))
    whole = path.read_bytes()
    place = whole.index(weights.numpy().tobytes())
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(ValueError, match="has another checksum than it was written with"):
        Checkpoint.load(path)


def test_what_is_cut_anywhere_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    saved(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 50):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is not a checkpoint that can be read"):
            Checkpoint.load(path)


def test_a_checkpoint_of_another_run_is_not_carried_on_from(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    saved(path)
    checkpoint = Checkpoint.load(path)
    _, _, wider = prepared("model.widths=[17,16]")
    before = next(iter(wider.model.state_dict().values())).clone()
    with pytest.raises(ValueError, match=r"is not of this run's network: its .*, the network's"):
        checkpoint.restore(wider.model, wider.optimizer)
    assert torch.equal(before, next(iter(wider.model.state_dict().values())))
    _, _, same = prepared("optimizer.momentum=0.9")
    broken = Checkpoint(3, checkpoint.model, {"state": {}})
    with pytest.raises(ValueError, match="is not of this run's optimizer"):
        broken.restore(same.model, same.optimizer)


def test_a_kept_network_of_another_run_is_named(results_dir: Path) -> None:
    run = planned("checkpoint.keep_final=true", results_dir=results_dir)
    carried_out(run)
    path = run.folder.checkpoint_path
    Checkpoint(12, {"stray": torch.zeros(1)}, {}).save(path)
    with pytest.raises(ValueError, match=re.escape(f"{path} is not of its run's network: it lac")):
        load_trained(run.folder)
