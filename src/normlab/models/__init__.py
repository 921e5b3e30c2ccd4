"""Networks: chains of named stages built from a kit.

The registry imports every module of this package when it is asked what there is, so that a new
network is one file here and one YAML file in `configs/model/`.
"""
