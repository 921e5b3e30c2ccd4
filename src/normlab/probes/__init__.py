"""Probes: when a measure is taken during training, and what its numbers are called.

The registry imports every module of this package when it is asked what there is, so that a new
probe is one file here and one YAML file in `configs/probe/`.
"""
