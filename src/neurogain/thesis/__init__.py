"""What the thesis printed (`tables`), what we claim about it (`claims`), and the experiments by chapter."""
