"""Networks written by others, measured and recomputed."""
