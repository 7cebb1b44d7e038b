"""The numbers of the claims of thesis Section 5.1, from the model and from the timing results."""

from neurogain.abstraction import speed
from neurogain.lab import results


def modelled() -> dict[str, float]:
    """The thesis's example, o = 2 and l = 6: by its formula with six spans and with one, and by a timetable."""
    six = speed.Cost(spans=6, span=6, jump=2)
    return {
        "formula_6": speed.thesis_speedup(6, 2, 6),
        "formula_1": speed.thesis_speedup(1, 2, 6),
        "seven": speed.speedup(six, workers=7),
        "two": speed.speedup(six, workers=2),
    }


def measured() -> dict[str, float]:
    """Medians: gains over plain backpropagation on one thread, and deriving a matrix against a span."""
    spans = results.load("ch3-parallel").table
    whole = spans[spans.part == "backward"].groupby(["width", "spans", "method"]).value.median()
    parts = spans[spans.method == "one thread"].groupby(["width", "part"]).value.median()
    steps = results.load("ch3-parallel-steps").table
    step = steps[steps.part == "step"].groupby(["width", "method"]).value.median()
    numbers = {
        f"{word}_{width}_6": whole[width, 6, "plain, one thread"] / whole[width, 6, method]
        for width in (64, 512, 1024)
        for word, method in {"threads": "abstracted, threads", "cores": "plain, all cores"}.items()
    }
    numbers |= {f"derive_{width}": parts[width, "derive"] / parts[width, "span"] for width in (256, 1024)}
    numbers |= {
        f"{word}_{width}": step[width, "plain, one thread"] / step[width, method]
        for width in (64, 1024)
        for word, method in {"processes": "abstracted, processes", "step_cores": "plain, all cores"}.items()
    }
    return numbers
