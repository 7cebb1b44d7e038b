"""The transformer and its spans against plain autograd, hand-made decoding and published rules."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from neurogain.abstraction import matrices, seq2seq, translate
from neurogain.abstraction.seq2seq import END, PAD, START, Shape, Transformer
from neurogain.lab.fit import seeded

SOURCES, TARGETS = [[5, 6, 7, 9, END], [8, END]], [[9, 4, 5, END], [6, 7, END]]


def small(norm="pre", layers=6, seed=0, **options):
    with seeded(seed):
        return Transformer(Shape(16, 2, 32, layers, norm, **options), 12, 11)


def batch():
    shown, wanted = translate.teacher(TARGETS)
    return translate.pad(SOURCES), shown, wanted


def gradients(model):
    source, shown, wanted = batch()
    model.zero_grad()
    translate.loss(model(source, shown), wanted).backward()
    layers = [*seq2seq.plain_layers(model.encoder), *seq2seq.plain_layers(model.decoder)]
    named = {f"{'ED'[n >= model.shape.layers]}{n % model.shape.layers + 1}": m for n, m in enumerate(layers)}
    named |= {"source": model.source, "target": model.target}
    return {
        name: torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in m.parameters()]
        )
        for name, m in named.items()
    }


def changed(a, b):
    return {name for name in a if not torch.allclose(a[name], b[name], atol=1e-7)}


# ---- the model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layers_agree_with_torch(norm):
    """With the same weights an encoder layer computes what torch.nn.TransformerEncoderLayer computes."""
    ours = seq2seq.EncoderLayer(Shape(16, 2, 32, 1, norm))
    theirs = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, norm_first=norm == "pre", batch_first=True)
    attend, think = ours.attend, ours.think
    theirs.self_attn.in_proj_weight.data = torch.cat(
        [attend.inner.query.weight, attend.inner.key_value.weight]
    )
    theirs.self_attn.in_proj_bias.data = torch.randn(48)
    attend.inner.query.bias.data, attend.inner.key_value.bias.data = theirs.self_attn.in_proj_bias.data.split(
        [16, 32]
    )
    theirs.self_attn.out_proj.load_state_dict(attend.inner.out.state_dict())
    theirs.linear1.load_state_dict(think.inner[0].state_dict())
    theirs.linear2.load_state_dict(think.inner[2].state_dict())
    x, real = torch.randn(3, 5, 16), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 1, 0]]).bool()
    expected = theirs(x, src_key_padding_mask=~real)
    torch.testing.assert_close(ours(x, real)[real], expected[real])


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_padding_and_later_words_change_nothing(norm):
    model, (source, shown, _) = small(norm), batch()
    both = model(source, shown)
    torch.testing.assert_close(model(source[1:, :2], shown[1:, :3])[0], both[1, :3])
    later = shown.clone()
    later[0, 2:] = 8
    torch.testing.assert_close(model(source, later)[0, :2], both[0, :2])


def test_without_residual_connections_the_input_is_not_added():
    layer = seq2seq.EncoderLayer(Shape(16, 2, 32, 1, "pre", residual=False))
    for linear in (layer.attend.inner.out, layer.think.inner[2]):
        nn.init.zeros_(linear.weight), nn.init.zeros_(linear.bias)
    assert not layer(torch.randn(1, 3, 16), torch.ones(1, 3, dtype=torch.bool)).any()


@pytest.mark.parametrize(
    ("shape", "message"), [(Shape(norm="mid"), "norm is 'mid'"), (Shape(width=15), "4 heads do not")]
)
def test_a_wrong_shape_is_one_clear_error(shape, message):
    with pytest.raises(ValueError, match=message):
        Transformer(shape, 10, 10)


# ---- spans -------------------------------------------------------------------------------------------------


def test_names_of_spans():
    assert seq2seq.parse("E345", 6) == {"encoder": [(3, 5)], "decoder": []}
    assert seq2seq.parse("L2-5", 6) == {"encoder": [(2, 5)], "decoder": [(2, 5)]}
    assert seq2seq.parse("E5, D234,E12", 6) == {"encoder": [(1, 2), (5, 5)], "decoder": [(2, 4)]}
    assert seq2seq.parse("", 6) == {"encoder": [], "decoder": []}


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ("E456", "'E456' does not lie in 3 layers, which are counted from 1"),
        ("E0", "does not lie in 3 layers"),
        ("E12,E23", "'E23' overlaps another one in the encoder"),
        ("D2,L1-3", "'L1-3' overlaps another one in the decoder"),
        ("E13", "neighbouring layers"),
        ("E32", "neighbouring layers"),
        ("L3-1", "neighbouring layers"),
        ("X12", "cannot be read"),
    ],
)
def test_a_bad_span_is_one_clear_error(spans, message):
    with pytest.raises(ValueError, match=message):
        seq2seq.abstract(small(layers=3), spans, matrices.identity)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_abstracted_transformer_computes_the_same_and_comes_back(norm):
    model, (source, shown, _) = small(norm), batch()
    before = model(source, shown)
    seq2seq.abstract(model, "E345,D23", matrices.identity)
    assert torch.equal(model(source, shown), before)
    assert [len(model.encoder), len(model.decoder)] == [4, 5]
    seq2seq.unwrap(model)
    assert torch.equal(model(source, shown), before)
    assert [len(model.encoder), len(model.decoder)] == [6, 6]


def test_error_above_and_inside_an_encoder_span_is_true_and_below_it_is_not():
    model = small()
    true = gradients(model)
    jumped = gradients(seq2seq.abstract(model, "E345", matrices.identity))
    assert changed(true, jumped) == {"E1", "E2", "source"}
    silent = gradients(seq2seq.abstract(seq2seq.unwrap(model), "E345", matrices.zero))
    assert not silent["E1"].any() and not silent["source"].any() and true["source"].any()


def test_a_decoder_span_sends_the_true_error_of_its_own_layers_to_the_encoder():
    model = small()
    true = gradients(model)
    seq2seq.abstract(model, "D456", matrices.zero)  # the target embedding hears as the output layer alone
    heard = gradients(model)
    assert changed(true, heard) >= {"D1", "D2", "D3", "E1", "source"}
    assert not heard["D1"].any() and heard["E1"].any()
    seq2seq.abstract(seq2seq.unwrap(model), "D456", matrices.zero, cross=False)
    assert not gradients(model)["E1"].any()


def test_padding_is_no_sample_of_a_matrix():
    seen = []

    def rule(x, y):
        seen.append(len(x))
        return matrices.identity(x, y)

    gradients(seq2seq.abstract(small(), "E2,D3", rule))
    assert seen == [sum(map(len, SOURCES)), sum(map(len, TARGETS))]


def test_ablation_takes_layers_out_and_leaves_the_model_alone():
    model, (source, shown, _) = small(), batch()
    before = model(source, shown)
    shorter = seq2seq.ablate(seq2seq.abstract(model, "E45", matrices.zero), "E456,D1")
    assert [len(shorter.encoder), len(shorter.decoder)] == [3, 5]
    assert shorter.encoder[0] is model.encoder[0]
    assert torch.equal(model(source, shown), before)
    assert not torch.equal(shorter(source, shown), before)


@pytest.mark.parametrize("span", ["E34", "D345"])
def test_what_is_seen_at_a_span_is_what_backpropagation_sees(span):
    model, (source, shown, wanted) = small(), batch()
    part = {"E": model.encoder, "D": model.decoder}[span[0]]
    first, last = part[int(span[1]) - 1], part[int(span[-1]) - 1]
    kept = {}
    hooks = [
        first.register_forward_pre_hook(
            lambda m, args: (kept.__setitem__("in", args[0]), args[0].retain_grad())[0]
        ),
        last.register_forward_hook(lambda m, args, out: (kept.__setitem__("out", out), out.retain_grad())[0]),
    ]
    translate.loss(model(source, shown), wanted).backward()
    [hook.remove() for hook in hooks]
    block, before, error = translate.at_span(model, source, shown, wanted, span)
    torch.testing.assert_close(before, kept["in"])
    torch.testing.assert_close(error, kept["out"].grad)
    x = before.detach().requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(block(x), x, error)[0], kept["in"].grad)


# ---- training, decoding, scores ----------------------------------------------------------------------------


def test_learning_rate_rises_and_falls_as_published():
    rates = [translate.learning_rate(step, 512, 4000) for step in (1000, 4000, 16000)]
    assert rates[1] == pytest.approx(512**-0.5 * 4000**-0.5)
    assert rates[0] == pytest.approx(rates[1] / 4) and rates[2] == pytest.approx(rates[1] / 2)


def test_the_decoder_is_shown_what_came_before():
    _, shown, wanted = batch()
    assert shown.tolist() == [[START, 9, 4, 5], [START, 6, 7, PAD]]
    assert wanted.tolist() == [[9, 4, 5, END], [6, 7, END, PAD]]


def test_every_pair_is_in_one_batch():
    pairs = [([4] * n, [4]) for n in range(1, 31)]
    seen = list(translate.batches(pairs, 4, torch.Generator().manual_seed(0)))
    assert sorted(index for one in seen for index in one) == list(range(30)) and max(map(len, seen)) == 4


def greedy(model, source):
    said = [START]
    for _ in range(int(1.5 * len(source)) + 5):
        logits = model(torch.tensor([source]), torch.tensor([said]))[0, -1]
        logits[[PAD, START]] = -torch.inf
        said.append(logits.argmax().item())
        if said[-1] == END:
            return said[1:-1]
    return said[1:]


def learnt(**options):
    """A model that has learnt to say numbers backwards, more or less."""
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(2, 5, (300,), generator=generator)
    words = [torch.randint(4, 11, (n,), generator=generator).tolist() for n in lengths.tolist()]
    pairs = [([*w, END], [*w[::-1], END]) for w in words]
    model = small(layers=1)
    history = translate.train(
        model, pairs[20:], pairs[:20], translate.Recipe(epochs=6, warm_up=30, **options)
    )
    return model, pairs, history


def test_training_learns_and_repeats_itself():
    (model, pairs, history), (again, _, same) = learnt(), learnt()
    losses = history.value.tolist()
    assert losses[-1] < losses[0] / 2
    assert losses == same.value.tolist()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert translate.validation_loss(model, pairs[:20]) == pytest.approx(min(losses), rel=1e-5)


def test_a_beam_of_one_is_greedy_and_a_wide_one_finds_a_likelier_sentence():
    model, pairs, _ = learnt()
    sources = [s for s, _ in pairs[:12]]
    one = translate.translate(model, sources, beam=1, batch_size=1)
    assert one == [greedy(model, s) for s in sources]

    def chance(source, said):
        shown, wanted = translate.teacher([[*said, END]])
        return -F.cross_entropy(model(torch.tensor([source]), shown)[0], wanted[0]).item()

    wide = translate.translate(model, sources, beam=4, batch_size=1)
    better = [chance(s, w) - chance(s, o) for s, w, o in zip(sources, wide, one, strict=True)]
    assert sum(better) > 0
    with pytest.raises(ValueError, match="beam is 0"):
        translate.translate(model, sources, beam=0)


def test_scores():
    text = ["the dog saw a red ball in the garden .", "a cat carried the old hat ."]
    perfect = translate.scores(text, text)
    assert perfect["BLEU"] == pytest.approx(1)
    assert [name for name in perfect if name.startswith("METEOR")]
    assert translate.scores(text[::-1], text)["BLEU"] < 0.1
    with pytest.raises(ValueError, match="1 translations for 2 references"):
        translate.scores(text[:1], text)


def test_an_empty_corpus_is_one_clear_error():
    with pytest.raises(ValueError, match="the training corpus is empty"):
        translate.train(small(layers=1), [], [([4, END], [4, END])], translate.Recipe())
