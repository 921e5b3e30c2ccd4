"""What will run: cells, pre-flight, starts, sharing, and the table of what exists."""
