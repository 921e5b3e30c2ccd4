"""Figures: what is drawn, in which words and colours; manifests; sizes; the same bytes."""

import hashlib
import io
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image
from support.tidy import table_of, texts

from normlab.analysis import statistics
from normlab.config import choices
from normlab.figures import comparison as comparison_module
from normlab.figures import manifest as manifest_module
from normlab.figures.averages import average_curves, average_last_values
from normlab.figures.comparison import compare
from normlab.figures.facets import plot
from normlab.figures.layout import draw_panels
from normlab.figures.manifest import LIMIT_BYTES, compact, save, table_hash
from normlab.figures.parts import read_published
from normlab.figures.pictures import DPI, NOTE_INCHES
from normlab.figures.references import Reference
from normlab.figures.sheet import Panel, Sheet
from normlab.figures.style import (
    SPARE_LOOKS,
    UNSET_LOOK,
    level_texts,
    looks,
    norm_looks,
    ordered,
    stand_in_looks,
    styled,
)
from normlab.figures.titles import break_lines
from normlab.norms.batch import BatchConfig

NORMS = [
    "none",
    "batch",
    "batch_noisy",
    "noise",
    "batch_ghost",
    "batch_renorm",
    "layer",
    "instance",
    "group",
    "rms",
    "lp",
    "batch_channel",
]


def test_average_curves_are_means_with_student_intervals() -> None:
    points = average_curves(table_of(), "test/accuracy", ["norm"]).means
    row = points[(points["norm"] == "batch") & (points["x"] == 100)].iloc[0]
    reference = statistics.mean_interval([0.5, 0.51, 0.52])
    assert (row["mean"], row["n"]) == (pytest.approx(0.51), 3)
    assert (row["low"], row["high"]) == pytest.approx((reference.low, reference.high))


def test_one_seed_has_no_interval() -> None:
    points = average_curves(table_of(seeds=(0,)), "test/accuracy", ["norm"]).means
    assert points["low"].isna().all()
    assert "one seed: no interval" in texts(plot(table_of(seeds=(0,)), hue="norm").figure)


def test_cells_are_averaged_within_a_seed_so_that_n_counts_seeds() -> None:
    table = table_of(factors={"optimizer.lr": [0.1, 0.5]})
    assert set(average_curves(table, "test/accuracy", ["norm"]).means["n"]) == {3}
    assert "n=3, mean of 2 cells" in texts(plot(table, hue="norm").figure)


def test_diverged_runs_count_as_chance_in_accuracy_and_end_in_loss() -> None:
    table = table_of(outcome=lambda norm, seed: "diverged" if norm == "none" else "trained")
    accuracy = average_curves(table, "test/accuracy", ["norm"])
    late = accuracy.means[(accuracy.means["norm"] == "none") & (accuracy.means["x"] >= 100)]
    assert late["mean"].tolist() == pytest.approx([0.1] * 11)
    marks = accuracy.marks
    assert (marks["x"].unique().tolist(), marks["outcome"].unique().tolist()) == (
        [90],
        ["diverged"],
    )
    loss = average_curves(table, "train/loss", ["norm"]).means
    assert loss[loss["norm"] == "none"]["x"].max() == 98.5  # the window of steps 98 and 99
    assert "none  n=3 (3 diverged)" in texts(plot(table, hue="norm").figure)
    assert average_last_values(table, "test/accuracy", "norm", []).means["mean"].tolist() == (
        pytest.approx([1.01, 0.1])
    )


def test_an_exploding_run_does_not_squash_the_panel() -> None:
    table = table_of(outcome=lambda norm, seed: "diverged" if norm == "none" else "trained")
    exploding = (
        (table["norm"] == "none") & (table["metric"] == "train/loss") & (table["step"] == 99)
    )
    table.loc[exploding, "value"] = 1e30
    axis = plot(table, y="train/loss", hue="norm").figure.axes[0]
    assert axis.get_ylim()[1] < 4
    mark = next(line for line in axis.lines if line.get_gid() is not None)
    # three marks at the same place are one
    assert mark.get_ydata() == pytest.approx([axis.get_ylim()[1]])


def test_a_line_has_a_gap_where_seeds_drop_out() -> None:
    table = table_of(
        outcome=lambda norm, seed: "diverged" if (norm, seed) == ("none", 2) else "trained"
    )
    axis = plot(table, y="train/loss", hue="norm").figure.axes[0]
    gaps = [
        int(np.isnan(np.asarray(line.get_ydata(), dtype=float)).sum()) for line in axis.lines[:2]
    ]
    assert sorted(gaps) == [0, 1]


def test_long_curves_are_averaged_over_windows_and_say_so() -> None:
    steps = np.arange(3000)
    rows = {"run": "a", "cell": "a", "seed": 0, "step": steps, "metric": "train/loss"}
    table = pd.DataFrame({**rows, "layer": None, "value": steps.astype(float), "norm": "batch"})
    points = average_curves(table, "train/loss", ["norm"])
    assert (points.window_steps, len(points.means)) == (20, 150)
    assert points.means["mean"].iloc[0] == points.means["x"].iloc[0] == 9.5
    assert "mean of 20 steps" in texts(plot(table, y="train/loss").figure)


def test_layers_are_panels_in_the_networks_order_or_averaged() -> None:
    table = table_of(layers=("conv2", "conv10", "conv3"))
    figure = plot(table, y="ics/l2", hue="norm", col="layer").figure
    assert [axis.get_title() for axis in figure.axes] == ["conv2", "conv3", "conv10"]
    assert figure.axes[0].get_yscale() == "log"
    assert "geometric mean" in texts(figure)
    assert "mean of 3 layers" in texts(plot(table, y="ics/l2", hue="norm").figure)
    one = average_curves(table, "ics/l2/conv10", ["norm"]).means
    assert one["mean"].unique() == pytest.approx(20.0)


def test_axes_carry_label_and_unit_from_the_registry() -> None:
    axis = plot(table_of(), hue="norm").figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step", "test accuracy [fraction]")
    over = plot(
        table_of(factors={"init.scale": [0.001, 0.1, 1.0]}), x="init.scale", hue="norm"
    ).figure
    assert over.axes[0].get_xscale() == "log"
    assert over.axes[0].get_ylabel() == "final test accuracy [fraction]"


def test_references_and_published_values_are_drawn_and_named() -> None:
    published = pd.DataFrame({"x": [100, 200], "y": [0.6, 0.8], "norm": "batch"})
    reference = Reference(value=50, label="lr decay", axis="x")
    figure = plot(table_of(), hue="norm", references=[reference], published=published).figure
    assert {"lr decay", "chance", "published", "bands: 95 % interval"} <= set(
        texts(figure).splitlines()
    )
    drawn = [
        line for line in figure.axes[0].lines if np.asarray(line.get_ydata()).tolist() == [0.6, 0.8]
    ]
    assert drawn[0].get_markerfacecolor() == "white"


def test_published_values_of_later_steps_stand_in_a_strip_of_their_own() -> None:
    published = pd.DataFrame({"x": [100, 15000, 15000], "y": [0.6, 6.0, 0.1], "norm": "batch"})
    published.loc[2, "norm"] = "none"
    figure = plot(table_of(), y="train/loss", hue="norm", published=published).figure
    axis = figure.axes[0]
    assert "published (on grey:\nbeyond our steps)" in texts(figure)
    assert axis.get_xlim()[1] < 300
    assert [label.get_text() for label in axis.get_xticklabels()][-1] == "15000"
    inside = [line for line in axis.lines if np.asarray(line.get_ydata()).tolist() == [0.6]]
    assert np.asarray(inside[0].get_xdata()).tolist() == [100]
    for value in (6.0, 0.1):
        (mark,) = (line for line in axis.lines if np.asarray(line.get_ydata()).tolist() == [value])
        assert 1 - 0.14 < np.asarray(mark.get_xdata())[0] < 1
        assert axis.get_ylim()[0] < value < axis.get_ylim()[1]


def test_published_values_without_a_step_are_named_as_the_panel_says() -> None:
    published = pd.DataFrame({"x": [float("nan")], "y": [0.7], "norm": ["batch"]})
    panel = Panel(y="test/accuracy", published=published, published_at="peak")
    axis = draw_panels(table_of(), [[panel]]).figure.axes[0]
    assert axis.get_xticklabels()[-1].get_text() == "peak"


def test_a_panel_may_be_told_its_scale() -> None:
    axis = draw_panels(table_of(), [[Panel(y="train/loss", logarithmic=True)]]).figure.axes[0]
    assert axis.get_yscale() == "log"
    assert axis.get_ylabel() == "training loss\ngeometric mean\nmean of 2 steps"


def label_box(figure: Figure, axis: Axes, text: str) -> tuple[Bbox, Bbox]:
    """Extent of a label and the panel's own, in pixels, as drawn."""
    figure.draw_without_rendering()
    (label,) = (one for one in axis.texts if one.get_text() == text)
    return label.get_window_extent(), axis.get_window_extent()


@pytest.mark.parametrize("end", [0.2, 0.95])
def test_no_line_crosses_the_label_of_a_reference(end: float) -> None:
    """The line stays at the level up to `end` of its way, rises, and oscillates from there on."""
    steps = np.arange(0, 201)
    values = np.where(steps < 200 * end, 1.0, 1.0 + 0.5 * np.sin(steps))
    rows = {"run": "a", "cell": "a", "seed": 0, "step": steps, "metric": "train/loss"}
    table = pd.DataFrame({**rows, "layer": None, "value": values, "norm": "batch"})
    figure = plot(
        table, y="train/loss", hue="norm", references=[Reference(value=1, label="one")]
    ).figure
    axis = figure.axes[0]
    label, panel = label_box(figure, axis, "one")
    path = next(line for line in axis.lines if np.size(line.get_xdata()) > 50).get_path()
    path = axis.transData.transform_path(path)
    assert not path.intersects_bbox(label, filled=False)
    assert panel.x0 < label.x0
    assert label.x1 < panel.x1


def test_labels_are_placed_anew_where_limits_changed_since() -> None:
    sheet = plot(table_of(), hue="norm", references=[Reference(value=2, label="beyond")])
    figure = sheet.figure
    axis = figure.axes[0]
    axis.set_ylim(0, 2.5)
    sheet.picture("png")
    label, panel = label_box(figure, axis, "beyond")
    assert panel.x0 < label.x0
    assert label.x1 < panel.x1


def test_a_label_without_room_inside_stands_right_of_the_panel() -> None:
    steps = np.arange(0, 101)
    values = np.where(steps % 2, 0.0, 2.0)
    rows = {"run": "a", "cell": "a", "seed": 0, "step": steps, "metric": "train/loss"}
    table = pd.DataFrame({**rows, "layer": None, "value": values, "norm": "batch"})
    figure = plot(
        table, y="train/loss", hue="norm", references=[Reference(value=1, label="one")]
    ).figure
    label, panel = label_box(figure, figure.axes[0], "one")
    assert panel.x1 < label.x0 < panel.x1 + 20


def test_labels_of_near_references_do_not_overlap() -> None:
    near = [Reference(value=0.5, label="chance"), Reference(value=0.51, label="2/lr")]
    table = table_of().drop(columns="chance")
    figure = plot(table, hue="norm", references=near).figure
    boxes = [label_box(figure, figure.axes[0], text)[0] for text in ("chance", "2/lr")]
    assert not boxes[0].overlaps(boxes[1])


def test_the_legend_counts_odd_runs_among_all_of_a_hue_and_speaks_in_words() -> None:
    table = table_of(
        ("none", "batch_noisy"),
        {"optimizer.lr": [0.1, 0.5]},
        outcome=lambda norm, seed: "stuck" if norm == "none" else "trained",
    )
    legend = texts(plot(table, hue="norm", col="optimizer.lr").figure)
    assert "none  n=3\n(6 stuck of 6 runs)" in legend
    assert "batch noisy  n=3" in legend
    assert "normalization" in legend


def test_n_is_that_of_the_panels_that_show_every_seed() -> None:
    one = Panel(y="train/loss", where={"seed": 0})
    figure = draw_panels(table_of(), [[Panel(y="test/accuracy"), one]]).figure
    assert "batch  n=3" in texts(figure)


def test_grids_wrap_and_the_unused_places_are_empty() -> None:
    table = table_of(factors={"init.scale": [0.1, 0.2, 0.3, 0.4, 0.5]})
    axes = plot(table, hue="norm", col="init.scale").figure.axes
    assert [axis.get_visible() for axis in axes] == [True] * 5 + [False] * 3
    grid = plot(table_of(factors={"init": ["he", "xavier"]}), row="norm", col="init").figure
    assert grid.axes[0].get_title() == "norm = none   init = he"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"hue": "nrom"},
            "hue='nrom' is no factor of these runs; there are: .*Did you mean 'norm'",
        ),
        ({"x": "lr"}, "x='lr' is no factor"),
        ({"y": "test/acuracy"}, "'test/acuracy' is no metric .*Did you mean 'test/accuracy'"),
        ({"hue": "norm", "col": "norm"}, "must differ"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        plot(table_of(), **arguments)


def test_panels_of_a_computed_table_name_their_factor_or_have_one_color() -> None:
    rows = [
        {"run": f"clip-{bound}-s{seed}", "cell": f"clip-{bound}", "seed": seed, "bound": bound}
        | {"layer": None}
        | {"metric": "test/accuracy", "value": 0.5 + bound / 10 + seed / 100, "step": 0}
        for bound in (1.0, 2.0)
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows)
    panel = Panel(x="bound", y="test/accuracy")
    with pytest.raises(ValueError, match=r"hue='norm' is no factor of these runs; .*bound"):
        draw_panels(table, [[panel]])
    with pytest.raises(ValueError, match=r"x='bond' is no factor .*Did you mean 'bound'"):
        draw_panels(table, [[Panel(x="bond", y="test/accuracy")]], hue=None)
    sheet = draw_panels(table, [[panel]], hue=None)
    assert sheet.axis(panel).get_lines()
    assert "mean  n=2" in texts(sheet.figure)


def test_the_readers_categories_and_missing_factors_draw_the_same() -> None:
    table = table_of(factors={"norm.num_groups": [2.0, float("nan")]})
    categories = table.assign(
        **{
            c: table[c].astype("category")
            for c in ("run", "cell", "metric", "layer", "norm", "outcome")
        }
    )
    for one in (table, categories):
        figure = plot(one, hue="norm.num_groups", col="norm").figure
        assert "unset  n=3" in texts(figure)
        assert "2  n=3" in texts(figure)
    left, right = (
        average_curves(one, "test/accuracy", ["norm"])
        .means.astype({"norm": str})
        .sort_values(["norm", "x"], ignore_index=True)
        for one in (table, categories)
    )
    pd.testing.assert_frame_equal(left, right)


def test_comparison_of_few_settings_shows_curves_and_average_last_values() -> None:
    table = table_of(("none", "batch"), {"init": ["he", "xavier"], "model": ["mlp"]})
    figure = compare(table, ["norm", "init", "model", "seed"]).figure
    assert len(figure.axes) == 5
    assert [axis.get_title() for axis in figure.axes[:2]] == ["init=he", "init=xavier"]
    assert figure.axes[4].get_xlabel() == "final test accuracy [fraction]"


def test_comparison_over_a_numeric_factor_ends_with_a_line() -> None:
    table = table_of(factors={"init.scale": [10.0**-k for k in range(6)]})
    figure = compare(table, ["norm", "init.scale"]).figure
    assert len(figure.axes) == 7
    assert figure.axes[-1].get_xlabel() == "scale of the initial weights"
    assert figure.axes[-1].get_xscale() == "log"


def test_comparison_of_many_combinations_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    factors: dict[str, list[Any]] = {
        "init": ["he", "xavier", "zeros"],
        "optimizer.lr": [0.1, 0.5],
        "dropout": [0.0, 0.3, 0.5],
    }
    table = table_of(("none", "batch", "layer"), factors, seeds=(0, 1))
    figure = compare(table, ["norm", *factors]).figure
    assert len(figure.axes) == 1
    assert "init=he, lr=0.1, dropout=0.3" in texts(figure)
    assert "1.005 ± 0.064" in texts(figure)
    monkeypatch.setattr(comparison_module, "MOST_ROWS", 5)
    assert "the best 5 of 18 combinations" in texts(compare(table, ["norm", *factors]).figure)


def test_comparison_without_swept_factors_or_rows() -> None:
    assert len(compare(table_of(("batch",)), ["seed"]).figure.axes) == 3
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(pd.DataFrame(), ["norm"])


def test_every_norm_has_its_own_look() -> None:
    found = norm_looks()
    assert [norm for norm in found if norm in NORMS] == NORMS
    own = [look for look in found.values() if look not in SPARE_LOOKS]
    assert len({look.color for look in own}) == len(own) >= 12
    assert len({look.marker for look in own}) == len(own)
    assert looks("norm", ["batch", "none"])["batch"].color == norm_looks()["batch"].color


def test_a_norm_that_nobody_knows_recolours_no_other() -> None:
    known = looks("norm", ["none", "batch", "layer"])
    found = looks("norm", ["none", "squash", "batch", "layer, sorted", "layer"])
    assert {norm: found[norm] for norm in known} == known
    assert found["squash"] in SPARE_LOOKS
    assert looks("norm", ["squash"]) == {"squash": found["squash"]}
    num_taken = sum(look in SPARE_LOOKS for norm, look in norm_looks().items() if norm != "squash")
    num_free = len(SPARE_LOOKS) - num_taken
    others = looks("norm", ["squash", *(f"other {i}" for i in range(num_free - 1))])
    assert len({look.color for look in others.values()}) == num_free
    assert set(looks("norm", [f"other {i}" for i in range(20)]).values()) == {*SPARE_LOOKS}


def test_spare_looks_are_nobodys_own() -> None:
    variants = [look for norm in choices("norm").values() for look in norm.VARIANT_LOOKS.values()]
    own = [look for look in norm_looks().values() if look not in SPARE_LOOKS]
    taken = [*own, *variants, *stand_in_looks().values()]
    colors = [look.color for look in (*taken, *SPARE_LOOKS, UNSET_LOOK)]
    assert len({*colors}) == len(colors)


@pytest.mark.parametrize("unset", [None, math.nan])
@pytest.mark.parametrize(
    ("factor", "levels"),
    [
        ("norm", ["none", "batch"]),
        ("optimizer.lr", [0.1, 0.5, 1.0]),
        ("init", ["he", "xavier"]),
    ],
)
def test_an_unset_level_recolours_no_other(
    factor: str, levels: list[object], unset: object
) -> None:
    found = looks(factor, [unset, *levels])
    assert found.pop(unset) == UNSET_LOOK
    assert found == looks(factor, levels)
    assert list(found) == levels
    assert ordered(factor, [unset, *levels]) == [*levels, unset]


def test_a_norm_made_from_another_has_not_its_look() -> None:
    class Own(BatchConfig):
        pass

    assert BatchConfig.LOOK is not None
    assert Own.LOOK is None


def test_the_most_compared_norms_differ_in_lightness_or_hue_for_the_colour_blind() -> None:
    """Deuteranopia and protanopia after Viénot, Brettel & Mollon (1999), distances in CIELAB."""
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
    )
    deutan = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    protan = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )

    def lab(rgb: Sequence[float]) -> NDArray[np.float64]:
        ratio = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.9505, 1.0, 1.089])
        f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    for vision in (np.eye(3), deutan, protan):
        simulate = np.linalg.inv(to_lms) @ vision @ to_lms
        seen = []
        for norm in ("none", "batch", "layer", "group"):
            srgb = np.array(to_rgb(norm_looks()[norm].color))
            linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
            seen.append(lab(simulate @ linear))
        distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
        assert min(distances) > 20


def test_levels_are_ordered_and_named_so_that_they_differ() -> None:
    assert ordered("norm", ["group", "none", "batch"]) == ["none", "batch", "group"]
    assert ordered("optimizer.lr", [0.5, 0.1]) == [0.1, 0.5]
    assert level_texts([0.00018478, 1.0]) == {0.00018478: "0.000185", 1.0: "1"}
    assert list(level_texts([0.12341, 0.12342]).values()) == ["0.12341", "0.12342"]
    assert list(level_texts([15000, 1]).values()) == ["15000", "1"]


def test_save_writes_five_files_and_a_manifest_that_names_every_run(tmp_path: Path) -> None:
    table = table_of(
        outcome=lambda norm, seed: "stuck" if (norm, seed) == ("none", 0) else "trained"
    )
    carried = {run: {"commit": "abc", "data_checksum": "d1"} for run in table["run"].unique()}
    manifest = save(
        lambda own: plot(own, hue="norm"),
        tmp_path,
        table,
        provenance=carried,
        missing=["1 of 7 runs failed"],
    )
    names = {"figure.png", "figure.svg", "figure.pdf", "table.parquet", "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert manifest["runs"] == sorted(carried)
    assert manifest["cells"][1] == {
        "cell": "none",
        "n": 3,
        "seeds": [0, 1, 2],
        "outcomes": {"stuck": 1, "trained": 2},
    }
    assert (manifest["commits"], manifest["data_checksums"]) == (["abc"], ["d1"])
    assert (manifest["missing"], manifest["made_smaller"]) == (["1 of 7 runs failed"], [])
    assert list(manifest["files"]) == ["figure.png", "table.parquet"]
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == entry["sha256"]
    stored = pd.read_parquet(tmp_path / "table.parquet")
    assert table_hash(stored) == manifest["table_sha256"] == table_hash(table)


def test_a_broken_note_is_nowhere_wider_than_the_figure() -> None:
    narrow, wide = "lr=1: 0.1, the least tried; ", "model=vgg11 norm=batch momentum=0.99; "
    with styled():
        figure = Figure(figsize=(3.3, 2))
        note = figure.text(0, 0, 6 * narrow + 4 * wide, size=7)
        break_lines(note, figure.bbox.width)
        assert "\n" in note.get_text()
        assert note.get_window_extent().width <= figure.bbox.width


def test_the_note_below_a_figure_is_not_under_a_legend_at_its_bottom() -> None:
    sheets = [plot(table_of(), hue="norm") for _ in range(2)]
    for sheet, place in zip(sheets, ("outside lower left", "outside upper right"), strict=True):
        figure = sheet.figure
        figure.legends[0].remove()
        line = Line2D([], [], color="red", linewidth=9)
        figure.legend(handles=[line], labels=[""], loc=place)  # type: ignore[call-overload]
    heights = []
    for sheet in sheets:
        drawn = Image.open(io.BytesIO(sheet.picture("png", note="one line"))).convert("RGB")
        is_red = (np.asarray(drawn) == (255, 0, 0)).all(axis=2)
        heights.append(drawn.height - 1 - np.flatnonzero(is_red.any(axis=1)))
    note_pixels = round(NOTE_INCHES * DPI)
    assert heights[0].min() > note_pixels
    assert heights[1].max() < 2.7 * DPI + note_pixels


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    table = table_of()
    first = save(lambda own: plot(own, hue="norm"), tmp_path / "a", table)
    second = save(lambda own: plot(own, hue="norm"), tmp_path / "b", table)
    assert first == second
    other = save(plot(table, hue="norm"), tmp_path / "c", table, name="other", primary=False)
    assert (tmp_path / "c" / "other.json").exists()
    assert other["files"]["other.png"] == first["files"]["figure.png"]
    for kind in ("svg", "pdf"):
        places = [tmp_path / name for name in ("a/figure", "b/figure", "c/other")]
        assert len({place.with_suffix(f".{kind}").read_bytes() for place in places}) == 1


def test_a_large_table_is_thinned_and_stays_below_the_limit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "run": f"{norm}-s{seed}",
                "cell": norm,
                "seed": seed,
                "step": np.arange(4000),
                "metric": "train/loss",
                "layer": None,
                "value": rng.normal(size=4000),
                "norm": norm,
            }
        )
        for norm in ("none", "batch", "layer")
        for seed in range(8)
    ]
    table = pd.concat(frames, ignore_index=True)
    kept, notes = compact(table)
    assert "table thinned to at most" in notes[0]
    ends = kept.groupby("run")["step"].agg(["min", "max", "size"])
    assert set(ends["min"]) == {0}
    assert set(ends["max"]) == {3999}
    assert len(set(ends["size"])) == 1
    manifest = save(lambda own: plot(own, y="train/loss", hue="norm"), tmp_path, table)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < LIMIT_BYTES
    assert manifest["made_smaller"][0] == notes[0]
    assert manifest["num_rows"] == len(kept)


def test_large_pictures_are_made_smaller_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_module, "FIGURE_BYTES", 60_000)
    table = table_of(factors={"init": ["he", "xavier"]})
    large = save(plot(table, hue="norm", col="init"), tmp_path / "large", table)
    assert large["made_smaller"][0] == "lines rasterized in the vector pictures"
    assert large["made_smaller"][1] == "and these at 80 dots an inch"
    redrawn = save(plot(table, hue="norm", col="init"), tmp_path / "again", table, name="figure")
    assert redrawn["files"] == large["files"]
    for kind in ("svg", "pdf"):
        first, second = (tmp_path / place / f"figure.{kind}" for place in ("large", "again"))
        assert first.read_bytes() == second.read_bytes()


def test_table_hash_ignores_order_and_sees_values() -> None:
    table = table_of()
    shuffled = table.sample(frac=1, random_state=0)[sorted(table.columns, reverse=True)]
    assert table_hash(shuffled) == table_hash(table)
    changed = table.copy()
    changed["value"] += 1e-15 * (changed.index == 3)
    assert table_hash(changed) != table_hash(table)


def test_a_sheet_knows_its_panels_and_where_each_was_drawn() -> None:
    accuracy, loss = Panel(y="test/accuracy"), Panel(y="train/loss", logarithmic=True)
    missing = Panel(y="ics/l2", where={"norm": "batch"})
    sheet = draw_panels(table_of(), [[accuracy, None, loss], [missing]])
    assert [[drawn.panel for drawn in row] for row in sheet.rows] == [[accuracy, loss], [missing]]
    assert [axis.get_visible() for axis in sheet.figure.axes] == [True, False, True, True] + [
        False
    ] * 2
    assert sheet.axis(loss).get_yscale() == "log"
    with pytest.raises(ValueError, match="is none of the panels that were drawn"):
        sheet.axis(Panel(y="train/loss", logarithmic=True))
    assert [drawn.log_y for drawn in sheet.rows[0]] == [False, True]
    assert [text.get_text() for text in sheet.axis(missing).texts] == ["no runs yet"]
    grid = plot(table_of(factors={"init": ["he", "xavier"]}), row="norm", col="init")
    assert [[drawn.panel.where for drawn in row] for row in grid.rows] == [
        [{"norm": norm, "init": init} for init in ("he", "xavier")] for norm in ("none", "batch")
    ]


def test_a_sheet_gives_the_same_picture_each_time_and_where_it_is_saved(tmp_path: Path) -> None:
    panel = Panel(y="train/loss", references=[Reference(value=1.0, label="one")])
    sheet = draw_panels(table_of(), [[panel]])
    sheet.axis(panel).set_ylim(0, 3)
    first = sheet.picture("png")
    assert first == sheet.picture("png") == sheet._repr_png_()
    sheet.save(tmp_path / "figure.svg")
    assert b"<svg" in (tmp_path / "figure.svg").read_bytes()
    written = io.BytesIO()
    sheet.save(written, "png")
    assert Image.open(written).size == Image.open(io.BytesIO(first)).size


def test_panels_of_one_range_are_labelled_at_the_outer_ones() -> None:
    panels = [Panel(y="train/loss", where={"norm": norm}) for norm in ("none", "batch")]
    table = table_of()
    table.loc[table["norm"] == "batch", "value"] += 5
    sheet = draw_panels(table, [panels], same_limits=True)
    first, second = map(sheet.axis, panels)
    assert first.get_ylim() == second.get_ylim()
    assert (first.get_ylabel() != "", second.get_ylabel()) == (True, "")


def test_published_values_are_read_as_a_panel_takes_them(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text(
        "metric,norm,rate,step,value\na,none,1e-6,10,1.5\na,none,,20,2.5\nb,batch,1,,3\n"
    )
    found = read_published(path, where={"metric": "a", "rate": 0.000001})
    assert found is not None
    assert found[["x", "y"]].to_numpy().tolist() == [[10, 1.5]]
    assert read_published(path, where={"metric": "b"}) is None
    nowhere = read_published(path, x=None, where={"metric": "b"})
    assert nowhere is not None
    assert nowhere["x"].isna().all()
    assert nowhere["y"].tolist() == [3]


@pytest.mark.parametrize("levels", [[8, 32], [8.0, 32.0]])
def test_runs_without_a_value_leave_the_colours_of_the_others_in_a_figure(
    levels: list[float],
) -> None:
    """A normalization without groups has no norm.groups, and stands in the same figure."""
    groups = table_of(norms=["group"], factors={"norm.groups": levels})
    table = pd.concat([groups, table_of(norms=["batch"])], ignore_index=True)
    found = colors_of(plot(groups, hue="norm.groups"))
    assert len({*found.values()}) == len(found) == 2
    assert colors_of(plot(table, hue="norm.groups")) == found | {"unset": UNSET_LOOK.color}


def test_runs_without_a_normalization_take_no_spare_look() -> None:
    table = table_of(["batch", "none"])
    table["norm"] = table["norm"].replace("none", None)
    assert colors_of(plot(table, hue="norm")) == {
        "batch": norm_looks()["batch"].color,
        "unset": UNSET_LOOK.color,
    }


def colors_of(sheet: Sheet) -> dict[str, Any]:
    """The colours in the legend, by level."""
    (legend,) = sheet.figure.legends
    pairs = zip(legend.get_texts(), legend.get_lines(), strict=True)
    found = {text.get_text().partition("  n=")[0]: line.get_color() for text, line in pairs}
    return {level: color for level, color in found.items() if color != "none"}
