"""What the papers claim: a folder a figure."""
