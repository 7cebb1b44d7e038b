"""Experiments of Chapter 3 on the transformer: Tables 2 to 7 with their controls."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch

from neurogain.abstraction import layers, matrices, seq2seq, translate
from neurogain.data import text
from neurogain.lab.fit import seeded
from neurogain.lab.sweep import grid
from neurogain.thesis.experiment import Experiment

METHODS = ("baseline", "M=I", "derived", "zero", "random", "frozen")


@dataclass(frozen=True)
class Translation:
    """One run of ``ch3-table2`` to ``ch3-table7`` or ``ch3-norm``: German to English."""

    data: str = "generated"  # or a corpus of the catalogue
    method: str = "baseline"  # one of METHODS
    spans: str = "E456"  # abstracted, or frozen at initialisation; see `seq2seq.parse`
    ablate: tuple[str, ...] = ("E456",)  # spans to remove, one after the other, and score again
    ridge: float = 0.0  # of the derived matrix, see `matrices.derived`
    tokens: int = 0  # of a batch that the derived matrix is made from; 0 takes all
    layers: int = 6  # in the encoder, and in the decoder
    norm: str = "pre"  # or "post"
    residual: bool = True  # False takes the residual connections away
    width: int = 32  # features of a token
    heads: int = 2  # of every attention
    feedforward: int = 64  # hidden features of a block
    dropout: float = 0.0  # fraction switched off in training
    vocabulary: int = 400  # subwords of each language, at most
    pairs: int = 2400  # of training sentences; 0 takes all
    longest: int = 0  # words of a sentence that is used; 0 takes all
    tested: int = 100  # validation pairs, and test pairs; 0 takes all
    epochs: int = 3  # passes over the training pairs
    batch_size: int = 16  # sentence pairs a step
    warm_up: int = 150  # steps of rising learning rate
    factor: float = 0.3  # of the learning rate
    beam: int = 1  # hypotheses of the decoder
    device: str = "cpu"  # where it runs
    seed: int = 0  # of pairs, weights, order, dropout and the random matrix


THESIS = {  # its own size; what it does not print is OpenNMT's or Vaswani's (see the deviations)
    "width": 512,
    "heads": 8,
    "feedforward": 2048,
    "dropout": 0.1,
    "vocabulary": 10_000,
    "pairs": 0,
    "longest": 0,
    "tested": 0,
    "epochs": 14,
    "batch_size": 32,
    "warm_up": 4000,
    "factor": 1.0,
    "beam": 5,
}
SMALL_REAL = {  # Multi30k or IWSLT17 on one core: short sentences, a narrow network
    "width": 96,
    "heads": 4,
    "feedforward": 192,
    "vocabulary": 2000,
    "pairs": 0,
    "longest": 10,
    "tested": 300,
    "epochs": 6,
    "batch_size": 32,
    "warm_up": 300,
    "factor": 1.0,
}


@dataclass(frozen=True, eq=False)
class Corpus:
    """Encoded pairs of every split, the vocabularies, and what the test should read."""

    train: translate.Pairs
    validation: translate.Pairs
    test: translate.Pairs
    source: object  # Vocabulary of the source language
    target: object  # Vocabulary of the target language
    references: list[str]  # test sentences in the target language


@lru_cache(maxsize=2)
def corpus(data: str, pairs: int, longest: int, tested: int, vocabulary: int, seed: int) -> Corpus:
    """Draw training pairs by the seed, learn both vocabularies from them, encode all splits."""
    from neurogain.data.subwords import Vocabulary

    if data == "generated":
        splits = text.generated(pairs, tested, tested, seed)
    else:
        splits = {
            split: text.load(data, split).take(count, seed if split == "train" else None, longest)
            for split, count in {"train": pairs, "validation": tested, "test": tested}.items()
        }
    source = Vocabulary(splits["train"].source, vocabulary)
    target = Vocabulary(splits["train"].target, vocabulary)
    encoded = {
        split: list(zip(source.encode(part.source), target.encode(part.target), strict=True))
        for split, part in splits.items()
    }
    return Corpus(**encoded, source=source, target=target, references=list(splits["test"].target))


def some_tokens(x: torch.Tensor, y: torch.Tensor, *, tokens: int, ridge: float) -> torch.Tensor:
    """The derived matrix from the first `tokens` tokens of a batch, or from all of them if it is 0."""
    return matrices.derived(x[: tokens or None], y[: tokens or None], ridge=ridge)


def build(config: Translation, source_words: int, target_words: int) -> seq2seq.Transformer:
    """The network of one condition; its weights before training depend on seed and size alone.

    Raises
    ------
    ValueError
        If the method is unknown, or a span cannot be read or does not fit.
    """
    if config.method not in METHODS:
        raise ValueError(f"unknown method {config.method!r}: expected one of {', '.join(METHODS)}")
    for span in (config.spans, *config.ablate):
        seq2seq.parse(span, config.layers)
    shape = seq2seq.Shape(
        config.width,
        config.heads,
        config.feedforward,
        config.layers,
        config.norm,
        config.residual,
        config.dropout,
    )
    with seeded(config.seed):
        model = seq2seq.Transformer(shape, source_words, target_words)
    generator = torch.Generator().manual_seed(config.seed + 10_000)  # not the stream of the weights
    matrix = {
        "M=I": matrices.identity,
        "zero": matrices.zero,
        "derived": partial(some_tokens, tokens=config.tokens, ridge=config.ridge),
        "random": matrices.random(config.width, config.width, generator),
    }.get(config.method)
    if config.method == "frozen":
        for part, pairs in seq2seq.parse(config.spans, config.layers).items():
            for first, last in pairs:
                for layer in getattr(model, part)[first - 1 : last]:
                    layer.requires_grad_(False)
    elif matrix is not None:
        seq2seq.abstract(model, config.spans, matrix)
    return model.to(config.device)


def run_translation(config: Translation) -> list[dict]:
    """Train once, translate the test set, remove layers, translate again.

    Rows: metric, value, ablated ("none" or the span removed), epoch. Metrics are "BLEU" and METEOR of the
    weights with the lowest validation loss, and for every epoch the validation loss (nats a token) and, where a
    matrix sends the error on, the cosine and the ratio of lengths of abstracted and true gradient at the first
    span's input, on one batch of validation pairs.
    """
    made = corpus(config.data, config.pairs, config.longest, config.tested, config.vocabulary, config.seed)
    model = build(config, len(made.source), len(made.target))
    probe = made.validation[: config.batch_size]
    source = translate.pad([s for s, _ in probe], config.device)
    shown, wanted = translate.teacher([t for _, t in probe], config.device)
    part, first = next((part, p[0]) for part, p in seq2seq.parse(config.spans, config.layers).items() if p)
    name = part[0].upper() + "".join(map(str, range(first[0], first[1] + 1)))
    real = (source if part == "encoder" else shown) != seq2seq.PAD

    def watch(model: seq2seq.Transformer, epoch: int) -> dict[str, float]:
        span = next((s for s in getattr(model, part) if isinstance(s, seq2seq.TokenSpan)), None)
        if span is None or config.method == "zero":
            return {}
        block, before, error = translate.at_span(model, source, shown, wanted, name)
        with torch.no_grad():
            matrix = span.matrix_for(before[real], block(before)[real])
        cosine, length = layers.fidelity(block, before, error, matrix)
        return {"cosine": cosine, "length": length}

    recipe = translate.Recipe(
        config.epochs, config.batch_size, config.warm_up, config.factor, seed=config.seed
    )
    rows = translate.train(model, made.train, made.validation, recipe, watch).assign(ablated="none")
    rows = rows.to_dict("records")
    for span in ("none", *config.ablate):
        shorter = seq2seq.unwrap(model) if span == "none" else seq2seq.ablate(model, span)
        said = translate.translate(shorter, [s for s, _ in made.test], beam=config.beam)
        for metric, value in translate.scores(made.target.decode(said), made.references).items():
            rows.append({"epoch": config.epochs, "metric": metric, "value": value, "ablated": span})
    return [row | {"value": round(row["value"], 5)} for row in rows]


def base(profile: str, data: str | None, device: str) -> tuple[Translation, range]:
    """What a run is like by profile and corpus, and its seeds."""
    config = Translation(data=data or "generated", device=device)
    if profile == "full":
        if data is None:
            return replace(config, **THESIS | {"pairs": 30_000, "tested": 1000}), range(5)
        return replace(config, **THESIS), range(5)
    if data is not None:
        config = replace(config, **SMALL_REAL)
    if profile == "quick":
        small = {"width": 16, "feedforward": 32, "pairs": 64, "tested": 8, "epochs": 1, "longest": 12}
        return replace(config, **small), range(1)
    return config, range(5 if data is None else 3)


def table2_configs(profile: str, data: str | None, device: str) -> list[Translation]:
    """Plain, identity and derived, and the controls that Table 2 lacks.

    The derived matrix is made from all tokens of a batch, and from as many as the network is wide, which is
    about where the thesis's batches sit.
    """
    one, seeds = base(profile, data, device)
    few = replace(one, method="derived", tokens=one.width)
    conditions = [replace(one, method=method) for method in METHODS] + [few, replace(few, ridge=0.1)]
    return [replace(condition, seed=seed) for seed in seeds for condition in conditions]


def norm_configs(profile: str, data: str | None, device: str) -> list[Translation]:
    """The same with normalisation after each sublayer, and there without residual connections too."""
    conditions = [
        replace(c, norm="post")
        for c in table2_configs(profile, data, device)
        if c.method not in ("random", "frozen")
    ]
    plain = [replace(c, residual=False) for c in conditions if c.method in ("baseline", "M=I")]
    return [*conditions, *plain]


def table3_configs(profile: str, data: str | None, device: str) -> list[Translation]:
    """Plain, identity and derived; `--data iwslt17` is the thesis's corpus."""
    one, seeds = base(profile, data, device)
    return grid(one, method=["baseline", "M=I", "derived"], seed=seeds)


def table4_configs(profile: str, data: str | None, device: str) -> list[Translation]:
    """Plain and identity with six layers and with three; Table 5 without the derived matrix."""
    return [c for c in table5_configs(profile, data, device) if c.method != "derived"]


def table5_configs(profile: str, data: str | None, device: str) -> list[Translation]:
    """Plain, identity, derived, with six layers (the last three of the encoder) and with three (the last)."""
    one, seeds = base(profile, data, device)
    three = replace(one, layers=3, spans="E3", ablate=("E3",))
    made = []
    for deep in (one, three):
        made += [*grid(deep, method=["baseline", "M=I"], seed=seeds)]
        made += [*grid(replace(deep, method="derived"), tokens=[0, one.width], seed=seeds)]
    return made


def table6_configs(profile: str, data: str | None, device: str) -> list[Translation]:
    """The identity over three layers at four places, and a plain network that loses the same layers."""
    one, seeds = base(profile, data, device)
    spans = ("E234", "E345", "D234", "D345")
    return [
        *grid(replace(one, ablate=spans), seed=seeds),
        *(
            c
            for span in spans
            for c in grid(replace(one, method="M=I", spans=span, ablate=(span,)), seed=seeds)
        ),
    ]


def table7_configs(profile: str, data: str | None, device: str) -> list[Translation]:
    """The identity over four, six and eight layers, beside no error at all."""
    one, seeds = base(profile, data, device)
    methods = ["M=I", "zero"]
    return [
        config
        for span in ("L4-5", "L3-5", "L2-5")
        for config in grid(replace(one, spans=span, ablate=(span,)), method=methods, seed=seeds)
    ]


_TITLES = {
    "ch3-table2": ("Translation with abstracted layers, and with the controls", table2_configs),
    "ch3-norm": ("The same, normalised after each sublayer, and without residual connections", norm_configs),
    "ch3-table3": ("Translation on a second corpus (--data iwslt17)", table3_configs),
    "ch3-table4": ("Six layers and three, whole and ablated", table4_configs),
    "ch3-table5": ("Six layers and three with the derived matrix", table5_configs),
    "ch3-table6": ("Where the abstracted layers lie", table6_configs),
    "ch3-table7": ("How many layers are abstracted", table7_configs),
}
EXPERIMENTS = [
    Experiment(name, title, configs, run_translation) for name, (title, configs) in _TITLES.items()
]
