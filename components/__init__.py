"""What the pipeline runs: one module or folder for each step, in the order of the data."""
