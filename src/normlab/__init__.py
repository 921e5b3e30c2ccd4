"""normlab: what a normalization layer does to the training of a deep network, and why."""

__version__ = "0.1.0"
