from pathlib import Path

import pytest

from normlab.config import choices
from normlab.config.convert import component
from normlab.tracking import MirrorSettings, NoMirror, NoneConfig, OnlineConfig, start_mirror
from normlab.tracking.run_mirror import flat_factors


def test_the_choices_and_their_settings() -> None:
    assert list(choices("tracker")) == ["offline", "online", "none"]
    tracker = component("tracker", {"name": "online", "project": "thesis", "entity": "lab"})
    assert tracker == OnlineConfig(project="thesis", entity="lab")
    settings = tracker.settings(Path("results"), ("optimizer.lr",))
    assert (settings.mode, settings.project, settings.entity) == ("online", "thesis", "lab")
    assert settings.wandb_dir == Path.cwd() / "results" / "wandb"
    assert MirrorSettings.from_json(settings.to_json()) == settings


def test_a_project_w_and_b_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tracker\.project must be a name .* got 'a/b'"):
        OnlineConfig(project="a/b")


def test_none_mirrors_nothing(tmp_path: Path) -> None:
    mirror = start_mirror(NoneConfig(), tmp_path)
    assert isinstance(mirror, NoMirror)
    mirror.follow(tmp_path)
    mirror.closed(tmp_path)
    assert mirror.finish(timeout_seconds=1.0) is None
    assert list(tmp_path.iterdir()) == []


def test_a_mirror_that_cannot_start_is_told_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mirror = start_mirror(OnlineConfig(), tmp_path / "file")
    mirror.follow(tmp_path)
    warning = mirror.finish(timeout_seconds=1.0)
    assert warning is not None
    assert "its process could not be started: [Errno 20] Not a directory" in warning


def test_swept_settings_are_copied_flat_without_periods() -> None:
    config = {
        "norm": {"name": "group", "num_groups": 4},
        "optimizer": {"name": "sgd", "lr": 0.1, "schedule": {"factor": 2}},
        "probe": {"landscape": {}, "ics": {"every": 10}},
        "seed": 3,
    }
    factors = ("norm", "norm.num_groups", "optimizer.lr", "optimizer.momentum", "probe.ics.every")
    assert flat_factors(config, factors) == {
        "norm_name": "group",
        "optimizer_name": "sgd",
        "probe_names": "ics,landscape",
        "norm_num_groups": 4,
        "optimizer_lr": 0.1,
        "probe_ics_every": 10,
    }
