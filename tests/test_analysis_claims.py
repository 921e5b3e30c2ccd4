"""claims.yaml: what is read, what is refused and in which words."""

import subprocess
import sys
from pathlib import Path

import pytest

from normlab.analysis.claims import Published, Reduction, claims_hash, load_claims

GOOD = """
claims:
  - id: batch_norm_learns_at_more_scales
    statement: BN learns at nearly every one of the init scales
    source: Saito 2016, figure 6-19
    metric: train/accuracy
    where: {model: mlp, optimizer.lr: [0.01, 1e-3]}
    treatment: {norm: batch}
    baseline: {norm: none}
    aggregate: {fraction_above: 0.5}
    family: replication
    comparison: greater
    smallest_effect: 1e-2
    published: {treatment: 15, baseline: 6, unit: scales}
    scales: [small, paper]
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "claims.yaml"
    path.write_text(text)
    return path


def test_a_claim_is_read(tmp_path: Path) -> None:
    (claim,) = load_claims(write(tmp_path, GOOD))
    assert claim.where == {"model": ("mlp",), "optimizer.lr": (0.01, "1e-3")}
    assert claim.treatment == {"norm": ("batch",)}
    assert claim.aggregate == Reduction(kind="fraction_above", value=0.5)
    assert claim.summary == Reduction(kind="last")
    assert (claim.smallest_effect, claim.margin, claim.threshold) == (0.01, None, 0.01)
    assert claim.published == Published(treatment=15.0, baseline=6.0, unit="scales")
    assert str(claim.published) == "15 vs 6 scales"
    assert claim.scales == ("small", "paper")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("baseline: {norm: none}", "basline: {norm: none}", "unknown key 'basline'; did you mean"),
        ("    source: Saito 2016, figure 6-19\n", "", "`source` must be a text, got None"),
        ("comparison: greater", "comparison: greatr", "greater, less or equal, got 'greatr'; did"),
        (
            "comparison: greater",
            "comparison: equal",
            "`smallest_effect` has no effect in an `equal`",
        ),
        ("    smallest_effect: 1e-2\n", "", "`smallest_effect` is missing"),
        ("smallest_effect: 1e-2", "smallest_effect: -1", "must be at least 0, got -1"),
        ("smallest_effect: 1e-2", "smallest_effect: .nan", "must be finite, got nan"),
        ("smallest_effect: 1e-2", "smallest_effect: much", "must be a number, got 'much'"),
        ("smallest_effect: 1e-2", "effect: ratio\n    smallest_effect: 0.5", "at least 1, got 0.5"),
        ("{fraction_above: 0.5}", "fraction_above", "needs a number: `aggregate: {fraction_above"),
        ("{fraction_above: 0.5}", "average", "`aggregate` must be mean, median"),
        ("metric: train/accuracy", "metric: train/acuracy", "no metric is called 'train/acuracy'"),
        ("    metric: train/accuracy\n", "", "`metric` is missing"),
        (
            "treatment: {norm: batch}",
            "treatment: batch",
            "`treatment` must select cells by factors",
        ),
        (
            "treatment: {norm: batch}",
            "treatment: {norm: {a: 1}}",
            "`treatment.norm` must be a value",
        ),
        ("    baseline: {norm: none}\n", "", "`baseline` is missing"),
        ("[small, paper]", "[smal]", "got 'smal'; did you mean 'small'"),
        ("unit: scales", "units: scales", "`published` must be a mapping with the keys"),
        ("id: batch_norm", "id: Batch-norm", "`id` must be lower-case words"),
        ("scales: [small, paper]", "hook: mine", "`baseline` must be a number where there is a"),
        ("claims:", "claim:", "unknown key 'claim' at the top"),
        (
            "family: replication",
            "family: replica",
            "`family` must be replication, question or identity, got 'replica'; did you mean",
        ),
        (
            "    family: replication\n",
            "",
            "`family` is missing; write replication (of what a paper or document says), question",
        ),
        ("metric: train/accuracy", "outcome: lost", "`outcome` must be failed, stuck or diverged"),
        (
            "metric: train/accuracy",
            "metric: train/accuracy\n    outcome: failed",
            "`metric` has no effect beside `outcome`",
        ),
        (
            "metric: train/accuracy",
            "outcome: failed\n    among: trained",
            "`among` has no effect beside `outcome`",
        ),
        (
            "metric: train/accuracy",
            "outcome: failed\n    effect: ratio",
            "`effect` must be difference beside `outcome`",
        ),
        ("comparison: greater", "comparison: greater\n    among: all", "`among` must be trained"),
    ],
)
def test_a_bad_claim_is_refused(tmp_path: Path, old: str, new: str, text: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_claims(path)
    assert text in str(error.value)
    assert str(error.value).startswith(str(path))


def test_not_yaml_not_there_not_a_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not valid YAML"):
        load_claims(write(tmp_path, "claims: [}"))
    with pytest.raises(ValueError, match="no such claims file"):
        load_claims(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="a list of at least one claim"):
        load_claims(write(tmp_path, "claims: []"))
    with pytest.raises(ValueError, match="a mapping with the key claims"):
        load_claims(write(tmp_path, "- a"))
    with pytest.raises(ValueError, match="two claims have the id"):
        load_claims(write(tmp_path, GOOD + GOOD.split("claims:\n")[1]))


def test_hash_follows_the_content_and_not_the_layout(tmp_path: Path) -> None:
    original = claims_hash(write(tmp_path, GOOD))
    assert len(original) == 64
    swapped = GOOD.replace(
        "{treatment: 15, baseline: 6, unit: scales}",
        "{unit: scales, baseline: 6,\n      treatment: 15}  # a comment",
    )
    assert claims_hash(write(tmp_path, swapped)) == original
    assert claims_hash(write(tmp_path, GOOD.replace("1e-2", "2e-2"))) != original


def test_family_outcome_and_among_are_read(tmp_path: Path) -> None:
    (plain,) = load_claims(write(tmp_path, GOOD))
    assert (plain.family, plain.outcome, plain.among) == ("replication", None, None)
    (claim,) = load_claims(
        write(tmp_path, GOOD.replace("metric: train/accuracy", "outcome: stuck"))
    )
    assert (claim.metric, claim.outcome) == (None, "stuck")
    among = GOOD.replace("replication", "question") + "    among: trained\n"
    (claim,) = load_claims(write(tmp_path, among))
    assert (claim.family, claim.among) == ("question", "trained")


def test_the_family_does_not_count_in_the_hash(tmp_path: Path) -> None:
    original = claims_hash(write(tmp_path, GOOD))
    other = GOOD.replace("replication", "question")
    assert claims_hash(write(tmp_path, other)) == original
    assert claims_hash(write(tmp_path, other.replace("    family: question\n", ""))) == original
    assert claims_hash(write(tmp_path, GOOD + "    among: trained\n")) != original


def test_claims_are_read_without_pandas_and_torch(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    code = (
        "import sys\n"
        "from normlab.analysis.claims import claims_hash, load_claims\n"
        f"load_claims({str(path)!r}), claims_hash({str(path)!r})\n"
        "print(sorted({'pandas', 'torch', 'scipy', 'numpy', 'seaborn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
