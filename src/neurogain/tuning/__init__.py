"""Chapter 2: neuromodulatory tuning of pretrained networks."""
