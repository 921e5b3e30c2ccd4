"""What runs are for: experiments, computed cells, drawing and judging, ad-hoc sweeps."""
