"""Normalization layers, one file a family.

The registry imports every module of this package when it is asked what there is, so that a new
normalization is one file here and one YAML file in `configs/norm/`.
"""
