"""Teach a transformer to translate, let it, and score what it says.

Sentences are lists of token numbers that end with `END`; see `neurogain.data.text` for words.
"""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurogain.abstraction.seq2seq import END, PAD, START, Stack, Transformer, parse, plain_layers

Pairs = list[tuple[list[int], list[int]]]  # token numbers of source and target, each with END last


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are ours; the thesis's are 32 sentences and 14 epochs."""

    epochs: int = 10  # passes over the training pairs
    batch_size: int = 32  # sentence pairs a step
    warm_up: int = 200  # steps until the learning rate is at its highest
    factor: float = 1.0  # of the learning rate
    smoothing: float = 0.1  # of the labels
    seed: int = 0  # of the order of the pairs and of dropout


def learning_rate(step: int, width: int, warm_up: int, factor: float = 1.0) -> float:
    """Rise in a line for `warm_up` steps, then fall with the root of the step (Vaswani et al., eq. 3)."""
    return factor * width**-0.5 * min(step**-0.5, step * warm_up**-1.5)


def pad(sentences: list[list[int]], device: str | torch.device = "cpu") -> Tensor:
    """Sentences as one tensor (sentences, tokens), padded at the end."""
    return nn.utils.rnn.pad_sequence(
        [torch.tensor(s) for s in sentences], batch_first=True, padding_value=PAD
    ).to(device)


def batches(pairs: Pairs, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Indices of pairs in a new order, a batch at a time, sentences of like length together."""
    order = torch.randperm(len(pairs), generator=generator).tolist()
    pools = [order[k : k + 50 * size] for k in range(0, len(order), 50 * size)]
    ready = []
    for pool in pools:
        pool.sort(key=lambda index: len(pairs[index][0]))
        ready += [pool[k : k + size] for k in range(0, len(pool), size)]
    for index in torch.randperm(len(ready), generator=generator).tolist():
        yield ready[index]


def loss(logits: Tensor, wanted: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of the real tokens: logits (n, tokens, words), wanted (n, tokens)."""
    return F.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=PAD, label_smoothing=smoothing
    )


def teacher(sentences: list[list[int]], device: str | torch.device = "cpu") -> tuple[Tensor, Tensor]:
    """What the decoder is shown (START first, the last token left out), and what it shall say."""
    wanted = pad(sentences, device)
    shown = F.pad(wanted, (1, -1), value=START)
    return shown.where(shown != END, PAD), wanted


@torch.no_grad()
def validation_loss(model: Transformer, pairs: Pairs, device: str | torch.device = "cpu") -> float:
    """Mean cross-entropy of a token, without smoothing."""
    model.eval()
    total = count = 0
    by_length = sorted(pairs, key=lambda pair: len(pair[0]))
    for k in range(0, len(by_length), 200):
        sources, targets = zip(*by_length[k : k + 200], strict=True)
        shown, wanted = teacher(list(targets), device)
        tokens = int((wanted != PAD).sum())
        total += loss(model(pad(list(sources), device), shown), wanted).item() * tokens
        count += tokens
    return total / count


def train(
    model: Transformer,
    pairs: Pairs,
    validation: Pairs,
    recipe: Recipe,
    watch: Callable[[Transformer, int], dict[str, float]] = lambda model, epoch: {},
) -> pd.DataFrame:
    """Train with Adam, label smoothing and warm-up; keep the weights of the lowest validation loss.

    Parameters
    ----------
    model
        Trained in place, on the device where it is. Parameters that need no gradient stay as they are.
    pairs, validation
        Token numbers of source and target sentences.
    recipe
        See `Recipe`.
    watch
        `watch(model, epoch)` measures something before training (epoch 0) and after every epoch.

    Returns
    -------
    DataFrame
        Columns epoch, metric ("validation loss" and the names of `watch`), value.

    Raises
    ------
    ValueError
        If there are no pairs, or the loss stops being finite.
    """
    for name, part in (("training", pairs), ("validation", validation)):
        if not part:
            raise ValueError(f"the {name} corpus is empty: expected one pair of sentences or more")
    device, width = model.source.weight.device, model.shape.width
    learners = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learners, lr=0.0, betas=(0.9, 0.98), eps=1e-9, fused=True)
    generator, rows, step, best = torch.Generator().manual_seed(recipe.seed), [], 0, (math.inf, {})
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)  # dropout draws from the global generator
        for epoch in range(recipe.epochs + 1):
            model.train()
            for batch in batches(pairs, recipe.batch_size, generator) if epoch else ():
                step += 1
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step, width, recipe.warm_up, recipe.factor)
                source = pad([pairs[index][0] for index in batch], device)
                shown, wanted = teacher([pairs[index][1] for index in batch], device)
                optimizer.zero_grad()
                loss(model(source, shown), wanted, recipe.smoothing).backward()
                optimizer.step()
            seen = {"validation loss": validation_loss(model, validation, device)} | watch(model, epoch)
            if not math.isfinite(seen["validation loss"]):
                raise ValueError(f"the loss is {seen['validation loss']} in epoch {epoch}: lower `factor`")
            if seen["validation loss"] < best[0]:
                best = seen["validation loss"], copy.deepcopy(model.state_dict())
            rows += [{"epoch": epoch, "metric": metric, "value": value} for metric, value in seen.items()]
    model.load_state_dict(best[1])
    model.eval()
    return pd.DataFrame(rows)


@torch.no_grad()
def translate(
    model: Transformer, sources: list[list[int]], *, beam: int = 1, batch_size: int = 100, longest: int = 80
) -> list[list[int]]:
    """Translate sentences with a beam of hypotheses; a beam of one is greedy decoding.

    A hypothesis is ranked by its mean log-probability a token. None grows beyond one and a half times its
    batch's longest source and five more, or `longest`.

    Returns
    -------
    list of list of int
        For every source the tokens before END.
    """
    if beam < 1:
        raise ValueError(f"beam is {beam}: expected 1 or more")
    model.eval()
    device, said = model.source.weight.device, [[] for _ in sources]
    order = sorted(range(len(sources)), key=lambda index: len(sources[index]))
    for k in range(0, len(order), batch_size):
        chosen = order[k : k + batch_size]
        source = pad([sources[index] for index in chosen], device)
        for index, tokens in zip(chosen, _search(model, source, beam, longest), strict=True):
            said[index] = tokens
    return said


def _search(model: Transformer, source: Tensor, beam: int, longest: int) -> list[list[int]]:
    """Translate one batch; hypotheses of a sentence are neighbouring rows."""
    n = len(source)
    memory = model.encode(source).repeat_interleave(beam, 0)
    source = source.repeat_interleave(beam, 0)
    said = torch.full((n * beam, 1), START, device=source.device)
    score = torch.full((n, beam), -math.inf, device=source.device)
    score[:, 0] = 0.0  # all hypotheses begin alike: only the first may branch
    length, ended = torch.zeros_like(score), torch.zeros(n * beam, dtype=torch.bool, device=source.device)
    for _ in range(min(longest, int(1.5 * source.shape[1]) + 5)):
        logits = model.logits(model.decode(said, memory, source)[:, -1])
        logits[:, [PAD, START]] = -math.inf
        chance = logits.log_softmax(-1)
        chance[ended] = -math.inf
        chance[ended, PAD] = 0.0  # one that has ended goes on with padding, for nothing
        total = (score.flatten()[:, None] + chance).view(n, -1)  # (n, beam * words)
        score, best = total.topk(beam, dim=-1)
        parent = (best // logits.shape[-1] + torch.arange(n, device=best.device)[:, None] * beam).flatten()
        token = (best % logits.shape[-1]).flatten()
        said = torch.cat([said[parent], token[:, None]], dim=1)
        length = length.flatten()[parent].view(n, beam) + (~ended[parent]).view(n, beam)
        ended = ended[parent] | (token == END)
        if ended.all():
            break
    winner = (score / length).argmax(-1) + torch.arange(n, device=source.device) * beam
    sentences = said[winner, 1:].tolist()
    return [s[: s.index(END)] if END in s else [t for t in s if t != PAD] for s in sentences]


def scores(said: list[str], references: list[str]) -> dict[str, float]:
    """Corpus BLEU by sacrebleu and mean METEOR by nltk, both from 0 to 1.

    Without WordNet among nltk's data METEOR knows no synonyms, and is named "METEOR (exact and stem)".

    Raises
    ------
    ValueError
        If there are no sentences, or not as many as references.
    ModuleNotFoundError
        If sacrebleu or nltk is not installed; `pip install neurogain[text]` brings them.
    """
    if len(said) != len(references) or not said:
        raise ValueError(f"{len(said)} translations for {len(references)} references: expected one for each")
    import sacrebleu
    from nltk.translate.meteor_score import meteor_score

    wordnet = _wordnet()
    meteor = [
        meteor_score([reference.split()], sentence.split(), wordnet=wordnet)
        for sentence, reference in zip(said, references, strict=True)
    ]
    name = "METEOR (exact and stem)" if isinstance(wordnet, _NoSynonyms) else "METEOR"
    return {
        "BLEU": sacrebleu.corpus_bleu(said, [references], force=True).score / 100,
        name: sum(meteor) / len(meteor),
    }


class _NoSynonyms:
    def synsets(self, word: str) -> list:
        return []


@lru_cache(maxsize=1)
def _wordnet():
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return _NoSynonyms()
    return wordnet


def at_span(
    model: Transformer, source: Tensor, shown: Tensor, wanted: Tensor, span: str
) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """What a batch looks like at one span: its layers, the activations before it, the error after it.

    Parameters
    ----------
    model
        Plain or abstracted; it is not changed.
    source, shown, wanted
        (sentences, tokens) each; see `teacher`.
    span
        One name, such as "E456".

    Returns
    -------
    block : callable
        The layers of the span, from (sentences, tokens, width) to the same.
    before : Tensor
        Activations before the span.
    error : Tensor
        Gradient of the mean loss at its output.
    """
    (part, (pair,)), *_ = [item for item in parse(span, model.shape.layers).items() if item[1]]
    encoder, decoder = Stack(plain_layers(model.encoder)), Stack(plain_layers(model.decoder))
    first, last = pair
    model.eval()
    if part == "encoder":
        args, stack, x = (source != PAD,), encoder, model.embed(model.source, source)
    else:
        memory = model.encode(source).detach()
        args, stack, x = (shown != PAD, memory, source != PAD), decoder, model.embed(model.target, shown)
    with torch.no_grad():
        before = Stack(stack[: first - 1])(x, *args)
        after = Stack(stack[first - 1 : last])(before, *args)
    after.requires_grad_()
    with torch.enable_grad():
        end = Stack(stack[last:])(after, *args)
        if part == "encoder":
            memory = model.encoder_end(end)
            end = decoder(model.embed(model.target, shown), shown != PAD, memory, source != PAD)
        (error,) = torch.autograd.grad(loss(model.logits(model.decoder_end(end)), wanted), after)
    return lambda x: Stack(stack[first - 1 : last])(x, *args), before, error
