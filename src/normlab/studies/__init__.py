"""Experiments and sweeps: their definition, computed cells, drawing and judging."""
