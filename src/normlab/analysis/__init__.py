"""Statistics, claims, verdicts, calibration, the ledger: tidy tables in, numbers and words out."""
