"""The command line: each command parses its words into typed options and carries them out."""
