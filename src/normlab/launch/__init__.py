"""Carrying out a plan: serially or in a pool; display, stopping, reruns, measuring afterwards."""
