"""What is typed: each command line parsed into options, and carried out."""
