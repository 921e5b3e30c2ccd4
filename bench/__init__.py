"""What normlab costs, each as a ratio of two things timed in one run. `make bench` measures all."""
