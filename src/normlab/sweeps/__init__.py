"""From words to runs: cells, plans, and the launchers that carry them out."""
