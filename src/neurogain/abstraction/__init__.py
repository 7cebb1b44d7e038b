"""Chapter 3: abstracted gradients, which jump over a span of layers through one matrix."""
