"""What the insertion does to the test loss, a comparison of one run's end with another's start."""

import pandas as pd


def test_loss_at_insertion(table: pd.DataFrame) -> dict[int, float]:
    """Test loss at step 0 with inserted layers minus the trained network's last, by seed.

    The fine-tuning rates begin with the same network; the greatest distance of any counts.
    """
    rows = table[table["metric"] == "test/loss"].sort_values("step")
    parents = rows[rows["arm"] == "plain"].groupby("seed")["value"].last()
    children = rows[(rows["inserted_norms"] == "identity") & (rows["step"] == 0)]
    differences = children["value"] - children["seed"].map(parents)
    return {
        int(seed): max(differences[children["seed"] == seed], key=abs)
        for seed in children["seed"].unique()
    }
