"""Why the derived matrix fails in the transformer: its direction against the tokens that it is made from."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from neurogain.abstraction import matrices, seq2seq, translate
from neurogain.lab.fit import seeded
from neurogain.lab.sweep import grid
from neurogain.thesis import chapter3_transformer as transformer
from neurogain.thesis.experiment import Experiment

RIDGES = (0.0, 0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Untrained:
    """One run of ``ch3-tokens``: layers 4 to 6 of an encoder at its first weights, and random errors."""

    data: str = "random"  # tokens at random, or the German sentences of a corpus of the catalogue
    norm: str = "post"  # or "pre"
    residual: bool = True  # False takes the residual connections away
    width: int = 512  # features of a token, as in the thesis
    heads: int = 8  # of every attention
    feedforward: int = 2048  # hidden features of a block
    sizes: tuple[int, ...] = (128, 256, 384, 512, 640, 768, 1024, 2048)  # tokens in a batch
    ridges: tuple[float, ...] = RIDGES  # of the derived matrix
    vocabulary: int = 10_000  # words to draw from
    sentence: int = 16  # tokens of a sentence
    device: str = "cpu"  # where it runs
    seed: int = 0  # of weights, tokens, errors and the random matrix


@dataclass(frozen=True)
class Trained:
    """One run of ``ch3-tokens-trained``: the plain translator, looked at before and after training."""

    translation: transformer.Translation  # how it is trained; its span is looked at
    sizes: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0)  # tokens in a batch / width
    ridges: tuple[float, ...] = RIDGES  # of the derived matrix
    seed: int = 0  # of the translation, the batches and the random matrix


def rules(width: int, ridges: tuple[float, ...], seed: int, device: str) -> dict[tuple, matrices.Matrix]:
    """Every matrix that is looked at, by its name and its ridge (None where it has none)."""
    fixed = matrices.random(width, width, torch.Generator().manual_seed(seed + 10_000)).to(device)
    derived = {("derived", ridge): partial(matrices.derived, ridge=ridge) for ridge in ridges}
    return derived | {("M=I", None): matrices.identity, ("random", None): lambda x, y: fixed}


def look(block, before: Tensor, error: Tensor, real: Tensor, rules: dict) -> list[dict]:
    """Cosine and ratio of lengths of the gradient through each matrix against the true one.

    Rows: matrix, used_ridge, metric ("cosine", "length"), value.
    """
    x = before.detach().requires_grad_()
    with torch.enable_grad():
        after = block(x)
        (true,) = torch.autograd.grad(after, x, error)
    rows, after = [], after.detach()
    for (name, ridge), rule in rules.items():
        guess = error @ rule(before[real], after[real]).T
        cosine = torch.nn.functional.cosine_similarity(
            true.flatten().double(), guess.flatten().double(), dim=0
        )
        for metric, value in (("cosine", cosine), ("length", guess.norm() / true.norm())):
            rows.append(
                {"matrix": name, "used_ridge": ridge, "metric": metric, "value": round(value.item(), 5)}
            )
    return rows


def mismatch(block, before: Tensor, real: Tensor) -> list[dict]:
    """How far Df(x) x is from f(x), as a fraction of f(x): 0 for a positively homogeneous block."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):  # it has a forward derivative
        value, along = torch.func.jvp(block, (before,), (before,))
    gap = ((along - value)[real].norm() / value[real].norm()).item()
    return [{"matrix": "block", "used_ridge": None, "metric": "mismatch", "value": round(gap, 5)}]


def run_untrained(config: Untrained) -> list[dict]:
    """Rows: tokens and those of `look`; for the fewest tokens that of `mismatch` too.

    With a real corpus also, as matrix "batch", the metric "tokens": how many 32 of its sentences have.
    """
    shape = seq2seq.Shape(config.width, config.heads, config.feedforward, 6, config.norm, config.residual)
    generator = torch.Generator().manual_seed(config.seed)
    with seeded(config.seed):
        model = seq2seq.Transformer(shape, config.vocabulary, 4).to(config.device).eval()
    tried, rows, pairs = rules(config.width, config.ridges, config.seed, config.device), [], []
    if config.data != "random":
        pairs = transformer.corpus(config.data, 0, 0, 0, config.vocabulary, 0).train
        count = sum(len(source) for source, _ in pairs) / len(pairs) * 32
        rows.append(
            {"tokens": 0, "matrix": "batch", "used_ridge": None, "metric": "tokens", "value": round(count, 1)}
        )
    for tokens in config.sizes:
        if pairs:
            source = translate.pad([s for s, _ in drawn(pairs, tokens, generator)])
        else:
            source = torch.randint(
                4, config.vocabulary, (tokens // config.sentence, config.sentence), generator=generator
            )
        error = torch.randn(*source.shape, config.width, generator=generator).to(config.device)
        source = source.to(config.device)
        real = source != seq2seq.PAD
        lower, span = seq2seq.Stack(model.encoder[:3]), seq2seq.Stack(model.encoder[3:])
        with torch.no_grad():
            before = lower(model.embed(model.source, source), real)
        block = partial(_call, span, real)
        seen = look(block, before, error * real[..., None], real, tried)
        if tokens == min(config.sizes):
            seen += mismatch(block, before, real)
        rows += [{"tokens": tokens} | row for row in seen]
    return rows


def _call(span: seq2seq.Stack, real: Tensor, x: Tensor) -> Tensor:
    return span(x, real)


def run_trained(config: Trained) -> list[dict]:
    """Rows: epoch (0 or the last), tokens, per_width, and those of `look`. Batches are training sentences."""
    c = replace(config.translation, seed=config.seed, method="baseline")
    made = transformer.corpus(c.data, c.pairs, c.longest, c.tested, c.vocabulary, c.seed)
    model = transformer.build(c, len(made.source), len(made.target))
    tried, rows = rules(c.width, config.ridges, c.seed, c.device), []
    generator = torch.Generator().manual_seed(c.seed + 20_000)

    def watch(model: seq2seq.Transformer, epoch: int) -> dict[str, float]:
        if epoch not in (0, c.epochs):
            return {}
        for ratio in config.sizes:
            pairs = drawn(made.train, round(ratio * c.width), generator)
            source = translate.pad([s for s, _ in pairs], c.device)
            shown, wanted = translate.teacher([t for _, t in pairs], c.device)
            seen = look(
                *translate.at_span(model, source, shown, wanted, c.spans), source != seq2seq.PAD, tried
            )
            tokens = int((source != seq2seq.PAD).sum())
            rows.extend({"epoch": epoch, "tokens": tokens, "per_width": ratio} | row for row in seen)
        return {}

    translate.train(
        model,
        made.train,
        made.validation,
        translate.Recipe(c.epochs, c.batch_size, c.warm_up, c.factor, seed=c.seed),
        watch,
    )
    return rows


def drawn(pairs: translate.Pairs, tokens: int, generator: torch.Generator) -> translate.Pairs:
    """Random pairs whose source sentences have `tokens` tokens in all; the last is cut to fit."""
    chosen, left = [], tokens
    for index in torch.randperm(len(pairs), generator=generator).tolist():
        source, target = pairs[index]
        chosen.append((source[:left], target))
        left -= len(source)
        if left <= 0:
            return chosen
    raise ValueError(f"the corpus has fewer than {tokens} tokens: use more pairs")


def untrained_configs(profile: str, data: str | None, device: str) -> list[Untrained]:
    """Both orders of normalisation, and normalisation at the end without residual connections."""
    one, seeds = Untrained(data=data or "random", device=device), range(5)
    if profile == "quick":
        one, seeds = replace(one, width=32, heads=2, feedforward=64, sizes=(16, 32, 128)), range(1)
    return [*grid(one, norm=["post", "pre"], seed=seeds), *grid(replace(one, residual=False), seed=seeds)]


def trained_configs(profile: str, data: str | None, device: str) -> list[Trained]:
    """The plain translators of Table 2, in both orders of normalisation."""
    translation, seeds = transformer.base(profile, data, device)
    one = Trained(translation)
    if profile == "quick":
        one = replace(one, sizes=(0.5, 1.0, 4.0))
    return grid(one, translation__norm=["post", "pre"], seed=seeds)


EXPERIMENTS = [
    Experiment(
        "ch3-tokens",
        "Derived matrix: tokens, ridge, norm; untrained, width 512",
        untrained_configs,
        run_untrained,
    ),
    Experiment("ch3-tokens-trained", "The same in trained translators", trained_configs, run_trained),
]
