"""Figures laid out in W&B: layout as data, one module that speaks wandb-workspaces."""
