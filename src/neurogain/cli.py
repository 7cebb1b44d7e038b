"""The command `neurogain`: it parses and calls. What it calls is imported when it is called."""

import argparse
import json
import os
import sys
from collections.abc import Sequence

import neurogain

PROFILES = {
    "quick": "seconds: what tests and pages run",
    "book": "minutes to an hour on two cores: what the book's tables hold",
    "full": "the thesis's own sizes, for a GPU or a cluster",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0; 2 for bad input, which is told in one line on stderr; 130 after Ctrl-C.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.call(arguments)
    except (ValueError, OSError) as error:
        notes = [f" ({note})" for note in getattr(error, "__notes__", [])]
        message = " ".join(f"{error}{''.join(notes)}".split())
        print(f"neurogain: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "\nneurogain: stopped; finished runs are kept, so start again to go on",
            file=sys.stderr,
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="neurogain",
        description="Reproduce the results of 'Borrowed from the Brain', and bring the data they need.",
    )
    parser.add_argument("--version", action="version", version=f"neurogain {neurogain.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    reproduce = commands.add_parser(
        "reproduce",
        help="run an experiment and write its table",
        description="Run an experiment and write its table, OUT/NAME.PROFILE[.DATA].csv, with a .json beside "
        "it that says how it was made. A run that is finished is kept in .neurogain/memory: a command that "
        "was stopped goes on where it was.",
        epilog="profiles: " + "; ".join(f"{name} takes {what}" for name, what in PROFILES.items()),
    )
    reproduce.add_argument("name", nargs="?", metavar="NAME", help="by thesis chapter, as ch2-table3")
    reproduce.add_argument("--list", action="store_true", help="list the experiments and their profiles")
    reproduce.add_argument(
        "--profile", choices=PROFILES, default="quick", help="how much to run (default: quick)"
    )
    reproduce.add_argument("--data", metavar="NAME", help="another data set, see `neurogain data list`")
    reproduce.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    reproduce.add_argument(
        "--split", help="Chapter 4: thesis (any copy may be tested on) or by-trial (default: both)"
    )
    reproduce.add_argument(
        "--select", help="Chapter 4: the epoch, best-on-test, last or validation (default: the first two)"
    )
    reproduce.add_argument(
        "--jobs", type=int, default=1, help="runs at a time; -1 for one per core (default: 1)"
    )
    reproduce.add_argument(
        "--cluster", metavar="ADDRESS", help="Dask scheduler that does the runs, as tcp://10.0.0.1:8786"
    )
    reproduce.add_argument(
        "--out", metavar="FOLDER", default="results", help="where to write (default: results)"
    )
    reproduce.set_defaults(call=_reproduce, parser=reproduce)

    params = commands.add_parser(
        "params",
        help="count what a method tunes",
        description="Print, as JSON, how many parameters a method tunes: in VGG-19 with how many there are, in "
        "the EEG network of Chapter 4 with how many are trained beforehand. Nothing is downloaded.",
    )
    params.add_argument(
        "--method", required=True, metavar="NAME", help="nt1, nt2, tft, …; with --network eeg: bias, …"
    )
    params.add_argument(
        "--network", choices=["vgg", "eeg"], default="vgg", help="of Chapter 2 or 4 (default: vgg)"
    )
    params.add_argument(
        "--drive",
        default="layer",
        help="eeg: bias neurons see their layer's or the model's input (default: layer)",
    )
    params.add_argument("--classes", type=int, metavar="N", help="outputs of the new layer")
    params.add_argument(
        "--spiking", action="store_true", help="the spiking classifier of Table 8, one gain a neuron"
    )
    params.add_argument(
        "--subset", action="store_true", help="with --spiking: the source knows all classes, no new layer"
    )
    params.add_argument(
        "--no-feature-gain", action="store_true", help="no gains on the classifier's input (Table 5)"
    )
    params.add_argument("--backbone", metavar="NAME", default="vgg19", help="vgg19 or slim_vgg19")
    params.set_defaults(call=_params)

    pretrain = commands.add_parser(
        "pretrain",
        help="train the weights of the slim VGG-19 again",
        description="Train the slim VGG-19 as the weights in the library were trained: on CIFAR-10, every "
        "picture in four rotations. Run again with the same OUT after a stop, it goes on from its last "
        "finished epoch.",
    )
    pretrain.add_argument("--epochs", type=int, metavar="N", help="passes over the training pictures")
    pretrain.add_argument("--seed", type=int, metavar="N", help="of everything that is drawn")
    pretrain.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    pretrain.add_argument(
        "--out", metavar="FOLDER", default="results/pretrained", help="default: results/pretrained"
    )
    pretrain.add_argument(
        "--weights",
        choices=["imagenet"],
        help="train nothing: bring the full VGG-19's published weights (575 MB) and check their hash",
    )
    pretrain.set_defaults(call=_pretrain)

    circuit = commands.add_parser(
        "circuit",
        help="simulate the analog neuron in ngspice",
        description="Simulate one analog neuron with one synapse, and print its waveforms, or with --summary "
        "what came out, as JSON. By default 12 input spikes of 100 ns, the first at 0.2 µs, 300 ns apart, in "
        "4 µs; a train that is longer is simulated to its end.",
    )
    circuit.add_argument("--vdd", type=float, default=0.55, help="synapse's supply, V (default: 0.55)")
    circuit.add_argument("--weight", type=int, default=6, help="-7 to 7 (default: 6)")
    circuit.add_argument(
        "--depth", default="behavioural", help="behavioural or transistor (default: behavioural)"
    )
    circuit.add_argument("--spikes", type=int, default=12, help="input spikes (default: 12)")
    circuit.add_argument("--period-ns", type=float, default=300.0, help="between them (default: 300)")
    circuit.add_argument("--format", choices=["csv", "spice"], default="csv", help="waveforms or the netlist")
    circuit.add_argument("--summary", action="store_true", help="spike counts, width and energy as JSON")
    circuit.set_defaults(call=_circuit)

    data = commands.add_parser(
        "data",
        help="list, bring and check data sets",
        description="List, bring and check data sets. They lie in $NEUROGAIN_DATA/NAME, by default in the "
        "platform's cache folder.",
    )
    actions = data.add_subparsers(title="actions", required=True, metavar="ACTION")
    for action, call, text in [
        ("list", _data_list, "name the data sets, what they are for and how they come"),
        ("fetch", _data_fetch, "download a data set, or say where to get it"),
        ("where", _data_where, "print the folder of a data set and what belongs in it"),
        ("check", _data_check, "read a data set whole and say what is there"),
    ]:
        sub = actions.add_parser(action, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if action != "list":
            sub.add_argument("name", metavar="NAME", help="data set, see `neurogain data list`")
        sub.set_defaults(call=call)
    return parser


def _reproduce(arguments) -> None:
    if not arguments.list and arguments.name is None:
        arguments.parser.error("name an experiment, or use --list")
    from neurogain.thesis import experiment

    experiments = experiment.collect()
    if arguments.list:
        width = max(map(len, experiments), default=0)
        for name, found in sorted(experiments.items()):
            print(f"{name:{width}}  {found.title} ({', '.join(found.profiles)})")
        return
    if arguments.name not in experiments:
        raise ValueError(
            f"no experiment is named {arguments.name!r}; there are: {', '.join(sorted(experiments))}"
        )
    path = experiment.reproduce(
        experiments[arguments.name],
        arguments.profile,
        data=arguments.data,
        device=arguments.device,
        options={name: value for name in ("split", "select") if (value := getattr(arguments, name))},
        jobs=arguments.jobs,
        cluster=arguments.cluster,
        out=arguments.out,
    )
    print(f"wrote {path} and {path.with_suffix('.json').name}")


def _params(arguments) -> None:
    if arguments.network == "eeg":
        if arguments.classes is not None or arguments.spiking or arguments.subset:
            raise ValueError(
                "--classes, --spiking and --subset are for --network vgg; leave them out with eeg"
            )
        import torch

        from neurogain.spiking import network

        spec = network.thesis(arguments.method, drive=arguments.drive)
        print(json.dumps(network.count(network.SpikingClassifier(spec, torch.Generator().manual_seed(0)))))
        return
    from neurogain.tuning import adapters, backbones

    if arguments.subset and not arguments.spiking:
        raise ValueError("--subset goes with --spiking: the tables of the ordinary classifier add a layer")
    if arguments.subset and arguments.classes is not None:
        raise ValueError("--subset adds no layer and --classes sizes one: give one of the two")
    if arguments.classes is None and not arguments.subset:
        raise ValueError("--classes is missing: give the outputs of the new layer, or --spiking --subset")
    if arguments.classes is not None and arguments.classes < 1:
        raise ValueError(f"--classes is {arguments.classes}: expected 1 or more")
    if arguments.spiking and arguments.no_feature_gain:
        raise ValueError("--no-feature-gain goes without --spiking: a spiking neuron's gain is its own")
    if arguments.backbone not in backbones.BACKBONES:
        raise ValueError(
            f"no backbone is named {arguments.backbone!r}; there are: {', '.join(backbones.BACKBONES)}"
        )
    architecture = backbones.BACKBONES[arguments.backbone].architecture
    if arguments.spiking:
        from neurogain.thesis import chapter2_spiking

        print(json.dumps(chapter2_spiking.count(arguments.method, arguments.classes, architecture)))
        return
    counts = adapters.count(
        architecture, arguments.method, arguments.classes, feature_gain=not arguments.no_feature_gain
    )
    print(json.dumps({"tunable": counts.tunable, "total": counts.total}))


def _pretrain(arguments) -> None:
    from neurogain.lab.fit import check_device
    from neurogain.tuning.pretrain import Recipe, pretrain

    if arguments.weights:
        from neurogain.tuning import backbones

        backbones.vgg19(arguments.weights)
        print("VGG-19's ImageNet weights are in torch's cache, where `--profile full` looks for them")
        return
    check_device(arguments.device)
    given = {name: getattr(arguments, name) for name in ("epochs", "seed")}
    recipe = Recipe(**{name: value for name, value in given.items() if value is not None})
    print(f"wrote {pretrain(recipe, out=arguments.out, device=arguments.device)}")


def _circuit(arguments) -> None:
    from neurogain.circuits import neuron

    period = arguments.period_ns * 1e-9
    duration = max(4e-6, 0.3e-6 + arguments.spikes * period)
    stimulus = neuron.Stimulus(arguments.spikes, period=period, duration=duration)
    setting = arguments.vdd, arguments.weight, stimulus, neuron.Design(arguments.depth)
    if arguments.format == "spice" and not arguments.summary:
        print(neuron.netlist(*setting))
        return
    waves = neuron.simulate(*setting)
    if arguments.summary:
        print(json.dumps(neuron.summary(waves)))
        return
    columns = (waves[name] for name in ("time", "v(spike)", "v(out_mem)", "v(out)"))
    try:
        print("time_s,spike_V,membrane_V,output_V")
        for row in zip(*columns, strict=True):
            print(",".join(f"{value:.9g}" for value in row))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _data_list(arguments) -> None:
    from neurogain.data.catalog import CATALOG

    width = max(map(len, CATALOG))
    for name, data in CATALOG.items():
        if data.downloads:
            comes = f"fetch it, {data.megabytes:,} MB"
        else:
            comes = "place it yourself" if data.place else "comes with the library"
        print(f"{name:{width}}  {data.title} ({comes}); {data.used_for}")


def _data_fetch(arguments) -> None:
    from neurogain.data import catalog

    print(f"{arguments.name} is in {catalog.fetch(arguments.name)}")


def _data_where(arguments) -> None:
    from neurogain.data import catalog

    print(catalog.where(arguments.name))
    if place := catalog.CATALOG[arguments.name].place:
        homepage = catalog.CATALOG[arguments.name].homepage
        print(f"To fill it, {place.format(homepage=homepage, root='that folder')}.")


def _data_check(arguments) -> None:
    from neurogain.data import catalog

    print(catalog.check(arguments.name))


if __name__ == "__main__":
    sys.exit(main())
