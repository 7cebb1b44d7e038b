"""The process that holds libngspice: `python -m neurogain.circuits.worker`, started by `ngspice.Worker`.

It reads a netlist from standard input, runs it through PySpice and writes the arrays to standard output,
until its input ends. An answer that is a string says what went wrong.
"""

import contextlib
import logging
import os
import re
import signal
import sys

from neurogain.circuits.ngspice import complaint, receive, send


def main() -> None:
    """Serve netlists until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints to standard output must not get among the answers
    logging.disable(logging.CRITICAL)
    try:
        from PySpice.Spice.NgSpice.Shared import NgSpiceShared

        library = NgSpiceShared.new_instance()
    except Exception as error:
        send(answers, f"{type(error).__name__}: {error}")
        return
    send(answers, None)
    while True:
        try:
            netlist, timeout = receive(sys.stdin.buffer)
        except EOFError:
            return
        if hasattr(signal, "alarm"):  # should the parent be gone, nobody else would end an endless run
            signal.alarm(int(timeout) + 10)
        answer = simulate(library, netlist)
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        send(answers, answer)


def simulate(library, netlist):
    """Run one netlist; return arrays by name, or one sentence that says what went wrong."""
    from PySpice.Spice.NgSpice.Shared import NgSpiceCircuitError, NgSpiceCommandError

    before = set(library.plot_names)
    said = ""
    try:
        library.load_circuit(netlist)
        said = library.stderr
        if problem := complaint(said):
            return f"ngspice refuses the circuit: {problem}"
        with contextlib.suppress(NgSpiceCommandError):  # it raises at any note; `complaint` judges below
            library.run()
        if problem := complaint(library.stderr):
            return f"the simulation did not finish: {problem}"
        new = [name for name in library.plot_names if name not in before and name != "const"]
        if not new:
            return (
                f"the simulation made no result: {(said + library.stderr).strip() or 'ngspice says nothing'}"
            )
        plot = library.plot(None, new[0])
        waves = {_plain(name): vector._data.real.copy() for name, vector in plot.items()}
        if (stop := stop_time(netlist)) is not None and waves["time"][-1] < stop * (1 - 1e-6):
            return f"the simulation stopped at {waves['time'][-1]:g} s of {stop:g} s"
        return waves
    except (NgSpiceCircuitError, NgSpiceCommandError, NameError) as error:
        words = (library.stdout + "\n" + library.stderr).splitlines()
        lines = [line for line in words if "error" in line.lower()] or [str(error) or "no reason given"]
        return f"ngspice refuses the circuit: {lines[0].strip()}"
    finally:
        for command in ("destroy all", "remcirc"):
            with contextlib.suppress(Exception):
                library.exec_command(command)


def stop_time(netlist):
    """Return the stop time in seconds of a netlist's `.tran` line, or None."""
    found = re.search(r"^\.tran\s+\S+\s+(\S+)", netlist, re.MULTILINE | re.IGNORECASE)
    return float(found[1]) if found else None


def _plain(name):
    """Return a vector's name as the book uses it: v(node), i(source), time, sweep."""
    name = name.lower()
    if name.endswith("#branch"):
        return f"i({name.removesuffix('#branch')})"
    if name in ("v-sweep", "i-sweep", "temp-sweep"):
        return "sweep"
    return name if "(" in name or name in ("time", "frequency") or name.startswith("@") else f"v({name})"


if __name__ == "__main__":
    main()
