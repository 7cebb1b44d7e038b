"""An encoder-decoder transformer, and error that jumps over spans of its layers.

    model = Transformer(Shape(width=64, layers=6), source_words=100, target_words=100)
    abstract(model, "E345,D345", matrices.identity)  # thesis Table 7, L3-5

A span is named as in the thesis: E345 are encoder layers 3 to 5, D234 decoder layers 2 to 4, L3-5 both encoder
and decoder layers 3 to 5. Layers count from 1.

Every tensor of activations is (sentences, tokens, width). `real` is True where a token is not padding.
"""

import math
import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neurogain.abstraction.layers import Abstracted, Shortcut
from neurogain.abstraction.matrices import Matrix

PAD, START, END, UNKNOWN = range(4)  # the first tokens of every vocabulary


@dataclass(frozen=True)
class Shape:
    """Size and layout of a transformer. The defaults are ours; `width=512, heads=8, feedforward=2048` the thesis's."""

    width: int = 64  # features of a token
    heads: int = 4  # of every attention; they divide the width
    feedforward: int = 128  # hidden features between the two linear layers of a block
    layers: int = 6  # in the encoder, and as many in the decoder
    norm: str = "post"  # "post": normalise after adding, as Vaswani et al.; "pre": before each sublayer
    residual: bool = True  # False takes the residual connections away
    dropout: float = 0.0  # fraction of activations that training switches off


class Sublayer(nn.Module):
    """Attention or feed-forward with its normalisation and its residual connection."""

    def __init__(self, inner: nn.Module, shape: Shape):
        super().__init__()
        if shape.norm not in ("pre", "post"):
            raise ValueError(f"norm is {shape.norm!r}: expected 'pre' or 'post'")
        self.inner, self.norm = inner, nn.LayerNorm(shape.width)
        self.pre, self.residual, self.dropout = shape.norm == "pre", shape.residual, shape.dropout

    def forward(self, x: Tensor, *args) -> Tensor:
        y = self.inner(self.norm(x) if self.pre else x, *args)
        y = F.dropout(y, self.dropout, self.training) if self.dropout else y
        y = x + y if self.residual else y
        return y if self.pre else self.norm(y)


class Attention(nn.Module):
    """Multi-head attention: to the layer's own input, or to `memory` (Vaswani et al., Section 3.2)."""

    def __init__(self, shape: Shape, *, causal: bool = False):
        super().__init__()
        if shape.width % shape.heads:
            raise ValueError(f"{shape.heads} heads do not divide a width of {shape.width}")
        self.heads, self.causal = shape.heads, causal
        self.query = nn.Linear(shape.width, shape.width)
        self.key_value = nn.Linear(shape.width, 2 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor, memory: Tensor | None = None, real: Tensor | None = None) -> Tensor:
        key, value = self.key_value(x if memory is None else memory).chunk(2, dim=-1)
        q, k, v = (
            self.split(part) for part in (self.query(x), key, value)
        )  # (n, heads, tokens, width / heads)
        mask = None if real is None else real[:, None, None, :]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return self.out(y.transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def feedforward(shape: Shape) -> nn.Module:
    """Two linear layers with a ReLU between (Vaswani et al., Section 3.3)."""
    return nn.Sequential(
        nn.Linear(shape.width, shape.feedforward), nn.ReLU(), nn.Linear(shape.feedforward, shape.width)
    )


class EncoderLayer(nn.Module):
    """Every source token looks at all of them, then at itself."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.attend = Sublayer(Attention(shape), shape)
        self.think = Sublayer(feedforward(shape), shape)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        return self.think(self.attend(x, None, real))


class DecoderLayer(nn.Module):
    """Every target token looks at those before it, then at the source, then at itself.

    Padding comes last in a target, so the causal mask hides it from every real token.
    """

    def __init__(self, shape: Shape):
        super().__init__()
        self.attend = Sublayer(Attention(shape, causal=True), shape)
        self.read = Sublayer(Attention(shape), shape)
        self.think = Sublayer(feedforward(shape), shape)

    def forward(self, x: Tensor, real: Tensor, memory: Tensor, source_real: Tensor) -> Tensor:
        return self.think(self.read(self.attend(x), memory, source_real))


class Stack(nn.ModuleList):
    """Layers one after the other, each given the same further arguments."""

    def forward(self, x: Tensor, *args) -> Tensor:
        for layer in self:
            x = layer(x, *args)
        return x


class TokenSpan(Abstracted):
    """An abstracted span of transformer layers. Its samples are the real tokens of the batch, without padding.

    A decoder span also reads the encoder's memory. What it sends back there is the true gradient of its own
    layers: only the error along the decoder jumps. `cross=False` sends nothing.
    """

    def __init__(self, block: Stack, matrix: Matrix, cross: bool = True):
        super().__init__(block, matrix)
        self.cross = cross

    def forward(self, x: Tensor, real: Tensor, *args: Tensor) -> Tensor:
        args = args if self.cross else tuple(arg.detach() for arg in args)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return self.block(x, real, *args)
        y = self.block(x.detach(), real, *args)
        return Shortcut.apply(x, y, self.matrix_for(x[real], y[real]))


class Transformer(nn.Module):
    """Encoder and decoder of `shape.layers` layers each; the target embedding is also the output layer.

    Parameters
    ----------
    shape
        See `Shape`.
    source_words, target_words
        Sizes of the two vocabularies. The languages do not share their embeddings, so that the source
        embedding hears of the loss through the encoder and in no other way.

    References
    ----------
    A. Vaswani et al., "Attention is all you need", NeurIPS 2017.
    """

    def __init__(self, shape: Shape, source_words: int, target_words: int):
        super().__init__()
        self.shape = shape
        self.source = nn.Embedding(source_words, shape.width)
        self.target = nn.Embedding(target_words, shape.width)
        self.encoder = Stack(EncoderLayer(shape) for _ in range(shape.layers))
        self.decoder = Stack(DecoderLayer(shape) for _ in range(shape.layers))
        ends = nn.LayerNorm if shape.norm == "pre" else nn.Identity  # a pre-norm stream is not normalised yet
        self.encoder_end, self.decoder_end = ends(shape.width), ends(shape.width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=shape.width**-0.5)

    def embed(self, embedding: nn.Embedding, tokens: Tensor) -> Tensor:
        x = embedding(tokens) * self.shape.width**0.5 + positions(
            tokens.shape[1], self.shape.width, tokens.device
        )
        return F.dropout(x, self.shape.dropout, self.training)

    def encode(self, source: Tensor) -> Tensor:
        """(sentences, tokens) int64 -> memory (sentences, tokens, width)."""
        return self.encoder_end(self.encoder(self.embed(self.source, source), source != PAD))

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        """Features (sentences, tokens, width) from which `logits` reads each next token."""
        x = self.embed(self.target, target)
        return self.decoder_end(self.decoder(x, target != PAD, memory, source != PAD))

    def logits(self, features: Tensor) -> Tensor:
        return features @ self.target.weight.T

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits of the token after each target token, (sentences, tokens, target_words)."""
        return self.logits(self.decode(target, self.encode(source), source))


def positions(length: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Sines and cosines that mark the places of tokens, (length, width) (Vaswani et al., Section 3.5)."""
    place = torch.arange(length, device=device)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    return torch.stack([(place * rate).sin(), (place * rate).cos()], dim=-1).flatten(1)


def parse(spans: str, layers: int) -> dict[str, list[tuple[int, int]]]:
    """Read the thesis's names of spans.

    Parameters
    ----------
    spans
        Names with commas between, such as "E345", "D234,E456" or "L3-5"; "" names none.
    layers
        Of the encoder, and of the decoder.

    Returns
    -------
    dict
        For "encoder" and "decoder" the first and last layer of each span, counted from 1, both included.

    Raises
    ------
    ValueError
        If a name cannot be read, names layers that are not neighbours or not there, or two spans overlap.
    """
    found = {"encoder": [], "decoder": []}
    for name in filter(None, (name.strip() for name in spans.split(","))):
        if not (match := re.fullmatch(r"([EDL])(?:(\d)-(\d)|(\d+))", name)):
            raise ValueError(f"the span {name!r} cannot be read: expected a name such as E345, D234 or L3-5")
        kind, low, high, digits = match.groups()
        numbers = [int(digit) for digit in digits] if digits else list(range(int(low), int(high) + 1))
        if not numbers or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise ValueError(f"the span {name!r} does not name neighbouring layers in order, as E345 does")
        if not 1 <= numbers[0] <= numbers[-1] <= layers:
            raise ValueError(f"the span {name!r} does not lie in {layers} layers, which are counted from 1")
        for part in {"E": ["encoder"], "D": ["decoder"], "L": ["encoder", "decoder"]}[kind]:
            for first, last in found[part]:
                if numbers[0] <= last and first <= numbers[-1]:
                    raise ValueError(f"the span {name!r} overlaps another one in the {part}")
            found[part].append((numbers[0], numbers[-1]))
    return {part: sorted(pairs) for part, pairs in found.items()}


def abstract(model: Transformer, spans: str, matrix: Matrix, *, cross: bool = True) -> Transformer:
    """Let the error jump over spans of a plain transformer, in place; `unwrap` undoes it.

    Parameters
    ----------
    model
        Without abstracted spans.
    spans
        See `parse`.
    matrix
        A rule of `neurogain.abstraction.matrices`, or one fixed matrix for all spans.
    cross
        Whether a decoder span sends its true gradient to the encoder through cross-attention.
    """
    for part, pairs in parse(spans, model.shape.layers).items():
        layers, done = list(getattr(model, part)), 0
        stack = Stack()
        for first, last in pairs:
            stack.extend(layers[done : first - 1])
            stack.append(TokenSpan(Stack(layers[first - 1 : last]), matrix, cross))
            done = last
        setattr(model, part, stack.extend(layers[done:]).train(model.training))
    return model


def plain_layers(stack: Stack) -> list[nn.Module]:
    """The layers of a stack, those inside abstracted spans too, in order."""
    return [inner for layer in stack for inner in (layer.block if isinstance(layer, TokenSpan) else [layer])]


def unwrap(model: Transformer) -> Transformer:
    """Put the layers of abstracted spans back into their stacks, in place."""
    for part in ("encoder", "decoder"):
        setattr(model, part, Stack(plain_layers(getattr(model, part))).train(model.training))
    return model


def ablate(model: Transformer, spans: str) -> Transformer:
    """A plain transformer without the layers of the spans (thesis Section 4.3). It shares the others' weights."""
    named = parse(spans, model.shape.layers)
    shorter = Transformer.__new__(Transformer)
    nn.Module.__init__(shorter)
    shorter.shape, shorter.training = model.shape, model.training
    for name, child in model.named_children():
        if name in named:
            gone = {number for first, last in named[name] for number in range(first, last + 1)}
            child = Stack(layer for n, layer in enumerate(plain_layers(child), 1) if n not in gone)
        setattr(shorter, name, child)
    return shorter
