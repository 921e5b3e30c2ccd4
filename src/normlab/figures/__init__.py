"""Figures from tidy tables alone: DataFrame in, Figure out."""
