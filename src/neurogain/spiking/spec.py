"""What a network of Chapter 4 is made of, and what each method tunes in it."""

from dataclasses import dataclass

from neurogain import lif

# What each method tunes: always-on biases, bias weights, input matrices; and in which layers it acts.
TUNED = {
    "none": ((), "none"),
    "bias": (("constant",), "all"),
    "ablated": (("constant",), "first"),
    "spiking-bias": (("weight",), "all"),
    "inputs": (("weight", "inputs"), "all"),
    "sparse-inputs": (("weight", "inputs"), "all"),
    "volumetric": (("weight", "inputs"), "first"),
    "projections": (("inputs",), "all"),  # a control: the input matrices alone
    "low-rank": (("weight", "inputs"), "first"),  # a control: no bias neurons
}
METHODS = tuple(name for name in TUNED if name != "projections")


@dataclass(frozen=True)
class Spec:
    """What a network of Chapter 4 is made of. `thesis` gives those of the thesis's tables.

    Raises
    ------
    ValueError
        If a field has a value that no network can have.
    """

    inputs: int = 160  # bits of a sample: 32 channels in 5 bands
    hidden: tuple[int, ...] = (400, 800)  # neurons of the hidden layers
    outputs: int = 100  # neurons of the last layer; the first half stands for low, the second for high
    steps: int = 25  # time steps that a sample is shown for, the same in each
    method: str = "none"  # how it is tuned, one of METHODS; "none" has no bias but the pretrained one
    drive: str = "layer"  # what drives the bias neurons: their "layer"'s input or the "model"'s
    density: float = (
        1.0  # share of its inputs that a bias neuron sees; thesis 0.1 (sparse), 0.15 (volumetric)
    )
    group: int = 10  # neurons that share a bias neuron in volumetric tuning
    rank: int = 2  # of "low-rank"
    spiking: bool = True  # False for a control: bias neurons hand on their input without threshold or leak
    shuffled: bool = False  # True for a control: groups drawn at random instead of neighbours
    constant: bool = True  # whether each neuron has an always-on bias, trained beforehand with the weights
    beta: float = 0.9  # decay of a membrane potential per step; not stated in the thesis, as the next three
    alpha: float = 0.9  # decay of a bias current per step
    threshold: float = 1.0  # membrane potential above which a neuron spikes
    slope: float = 25.0  # of the fast-sigmoid surrogate; snnTorch's default

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"no method is named {self.method!r}; expected one of {', '.join(METHODS)}")
        if self.drive not in ("layer", "model"):
            raise ValueError(f"drive is {self.drive!r}; expected 'layer' or 'model'")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha}; the decay per step lies between 0 and 1")
        if self.outputs < 2 or self.outputs % 2:
            raise ValueError(f"outputs is {self.outputs}; two populations of equal size need an even number")
        if min(self.inputs, self.steps, *self.hidden) < 1:
            raise ValueError(f"{self} has a size below 1")
        _ = self.neuron  # refuses a beta or a threshold that no neuron has
        if self.method in ("bias", "ablated") and not self.constant:
            raise ValueError(f"method {self.method!r} tunes always-on biases; leave constant at True")

    @property
    def neuron(self) -> lif.LIF:
        """The neuron of all layers, bias neurons included."""
        return lif.LIF(self.beta, self.threshold, surrogate=lif.FastSigmoid(self.slope))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths from the input to the last layer."""
        return (self.inputs, *self.hidden, self.outputs)


def thesis(method: str, **changes) -> Spec:
    """The network with which the thesis ran a method (Sections 4.4 to 4.6), with fields changed by name."""
    given = {
        "sparse-inputs": {"density": 0.1},
        "volumetric": {"density": 0.15},
        "ablated": {"hidden": (1000, 277), "outputs": 98},
    }.get(method, {})
    return Spec(method=method, **(given | changes))
