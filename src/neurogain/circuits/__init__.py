"""Chapter 2's analog neuron, transistor by transistor, in ngspice."""
