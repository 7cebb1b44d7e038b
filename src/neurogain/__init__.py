"""neurogain: the library under the book *Borrowed from the Brain*.

One package for each chapter of the thesis (`tuning`, `circuits`, `abstraction`, `spiking`), and what they
share: the neuron (`lif`), the data (`data`) and the laboratory (`lab`). `thesis` holds what was printed and
what we claim about it.
"""

__version__ = "0.1.0"
