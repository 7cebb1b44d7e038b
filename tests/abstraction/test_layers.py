"""The span wrapper against plain autograd."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from neurogain.abstraction import layers, matrices
from neurogain.abstraction.layers import Abstracted, abstract, unwrap


def plain_stack(widths=(6, 5, 4, 4, 3), seed=0):
    torch.manual_seed(seed)
    stack = [nn.Sequential(nn.Linear(i, o), nn.ReLU()) for i, o in pairwise(widths)]
    return nn.Sequential(*stack)


def batch(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(model, x, *, names=True):
    model.zero_grad()
    model(x).square().sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_forward_is_the_same_to_the_bit():
    stack, x = plain_stack(), batch(9, 6)
    assert torch.equal(abstract(stack, [(2, 3)], matrices.derived)(x), stack(x))


def test_with_the_true_jacobian_nothing_changes():
    torch.manual_seed(0)
    first, span, last = nn.Linear(6, 5), nn.Linear(5, 4, bias=False), nn.Linear(4, 2)
    x = batch(9, 6)
    true = gradients(nn.Sequential(first, span, last), x)
    jumped = gradients(nn.Sequential(first, Abstracted(span, span.weight.detach().T.clone()), last), x)
    for (name, a), b in zip(true.items(), jumped.values(), strict=True):
        torch.testing.assert_close(a, b, msg=name)


def test_the_span_itself_learns_from_the_true_gradient_whatever_the_matrix():
    stack, x = plain_stack(), batch(9, 6)
    true = gradients(stack, x)
    jumped = gradients(abstract(stack, [(2, 3)], matrices.zero), x)
    assert torch.equal(jumped["1.block.0.0.weight"], true["1.0.weight"])
    assert torch.equal(jumped["1.block.1.0.bias"], true["2.0.bias"])
    assert torch.equal(jumped["2.0.weight"], true["3.0.weight"])
    assert not jumped["0.0.weight"].any()
    assert true["0.0.weight"].any()


def test_upstream_gets_the_error_times_the_transposed_matrix():
    block, matrix = nn.Linear(5, 4), batch(5, 4, seed=3)
    x, error = batch(9, 5).requires_grad_(), batch(9, 4, seed=2)
    Abstracted(block, matrix)(x).backward(error)
    torch.testing.assert_close(x.grad, error @ matrix.T)


def test_several_spans_multiply_their_matrices():
    stack, x = plain_stack((6, 5, 5, 5, 3)), batch(9, 6)
    a, b = batch(5, 5, seed=4), batch(5, 5, seed=5)
    net = abstract(stack, [(3, 3), (2, 2)], [a, b])  # in any order
    hidden = stack[0](x)
    error = torch.autograd.grad(stack[3](h := stack[:3](x).detach().requires_grad_()).square().sum(), h)[0]
    expected = torch.autograd.grad(hidden, list(stack[0].parameters()), error @ a.T @ b.T)
    found = gradients(net, x)
    torch.testing.assert_close(found["0.0.weight"], expected[0])


def test_tokens_count_as_samples():
    torch.manual_seed(0)
    block, x = nn.Linear(4, 4, bias=False), batch(3, 7, 4)
    span = Abstracted(block, matrices.derived)
    torch.testing.assert_close(span.matrix_for(x, block(x)), block.weight.T.detach())


def test_other_arguments_keep_their_true_gradient():
    class Cross(nn.Module):
        def forward(self, x, memory, *, scale):
            return scale * x * memory

    x, memory = batch(5, 4).requires_grad_(), batch(5, 4, seed=2).requires_grad_()
    Abstracted(Cross(), matrices.zero)(x, memory, scale=2.0).sum().backward()
    torch.testing.assert_close(memory.grad, 2 * x.detach())
    assert not x.grad.any()


def test_no_matrix_is_made_when_no_gradient_is_wanted():
    def rule(x, y):
        raise AssertionError("called")

    span, x = Abstracted(nn.Linear(4, 3), rule), batch(5, 4)
    span(x)  # nothing upstream learns
    with torch.no_grad():
        span(x.requires_grad_())


def test_a_layer_that_works_in_place_may_follow():
    net = nn.Sequential(nn.Linear(6, 5), Abstracted(nn.Linear(5, 4), matrices.zero), nn.ReLU(inplace=True))
    gradients(net, batch(9, 6))


def test_unwrap_gives_the_plain_model_back():
    stack, x = plain_stack(), batch(9, 6)
    plain = unwrap(abstract(stack.eval(), [(1, 2), (4, 4)], matrices.derived))
    assert plain.state_dict().keys() == stack.state_dict().keys()
    assert torch.equal(plain(x), stack(x))
    assert not plain.training

    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = Abstracted(nn.Linear(3, 3), matrices.identity)

    assert isinstance(unwrap(Holder()).inside, nn.Linear)
    assert isinstance(Abstracted(nn.ReLU(), matrices.zero).unwrap(), nn.ReLU)


def test_a_block_that_was_a_stack_before_stays_one():
    block = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    assert unwrap(nn.Sequential(nn.Linear(3, 3), Abstracted(block, matrices.zero)))[1] is block


def test_state_dict_carries_a_fixed_matrix_and_trained_weights():
    net = abstract(plain_stack(), [(2, 3)], batch(5, 4, seed=3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    before = copy.deepcopy(net.state_dict())
    gradients(net, batch(9, 6))
    optimizer.step()
    fresh = abstract(plain_stack(seed=9), [(2, 3)], torch.zeros(5, 4))
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh[1].matrix, before["1.matrix"])  # no optimizer touches it
    assert not torch.equal(net[0][0].weight, before["0.0.weight"])
    assert torch.equal(fresh(batch(9, 6)), net(batch(9, 6)))


def test_mixed_precision():
    net = abstract(plain_stack(), [(2, 3)], matrices.derived)
    true = gradients(net, batch(40, 6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = gradients(net, batch(40, 6))
    assert coarse["0.0.weight"].dtype == torch.float32
    cosine = nn.functional.cosine_similarity(true["0.0.weight"].flatten(), coarse["0.0.weight"].flatten(), 0)
    assert cosine > 0.99


@pytest.mark.parametrize("rule", [matrices.derived, matrices.block_identity])
def test_compiled_it_gives_the_same_gradients(rule):
    net = abstract(plain_stack(), [(2, 3)], rule)
    expected = gradients(net, batch(9, 6))
    compiled = torch.compile(net, backend="aot_eager")
    compiled(batch(9, 6)).square().sum().backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * expected[name], msg=name)  # on top of the first


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0, 2)], "0 to 2 does not lie in a stack of 4"),
        ([(3, 5)], "3 to 5 does not lie"),
        ([(3, 2)], "3 to 2 does not lie"),
        ([(1, 2), (2, 3)], "2 to 3 overlaps one that ends at layer 2"),
    ],
)
def test_spans_out_of_range_or_overlapping(spans, message):
    with pytest.raises(ValueError, match=message):
        abstract(plain_stack(), spans, matrices.zero)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: abstract(plain_stack(), [(1, 2)], [matrices.zero] * 2), "2 matrices for 1 spans"),
        (lambda x: Abstracted(nn.Linear(4, 3), "identity"), "matrix is 'identity'"),
        (lambda x: Abstracted(nn.Linear(4, 3), matrices.identity)(x), "from 4 to 3"),
        (lambda x: Abstracted(nn.Linear(4, 3), torch.zeros(3, 4))(x), r"shape \(3, 4\), expected \(4, 3\)"),
        (lambda x: Abstracted(nn.Flatten(0), matrices.zero)(x), r"turned \(5, 4\) into \(20,\)"),
        (lambda x: Abstracted(nn.LSTM(4, 3), matrices.zero)(x), "into tuple"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call(batch(5, 4).requires_grad_())


def test_fidelity_of_known_matrices():
    torch.manual_seed(0)
    block, x, error = nn.Linear(5, 4), batch(9, 5), batch(9, 4, seed=2)
    true = block.weight.detach().T
    assert layers.fidelity(block, x, error, true) == pytest.approx((1, 1))
    assert layers.fidelity(block, x, error, -3 * true) == pytest.approx((-1, 3))
    cosine, length = layers.fidelity(block, x, error, torch.zeros(5, 4))
    assert cosine != cosine
    assert length == 0


def test_error_flow_reads_the_graph():
    stack, x = plain_stack((6, 5, 4, 4, 3, 3)), batch(9, 6)
    chain = [("loss", "4.0"), ("4.0", "3.0"), ("3.0", "2.0"), ("2.0", "1.0"), ("1.0", "0.0")]
    assert set(layers.error_flow(stack(x).sum(), stack)) == set(chain)
    net = abstract(stack, [(2, 3), (4, 4)], matrices.derived)
    assert set(layers.error_flow(net(x).sum(), net)) == {
        ("loss", "3.0"),
        ("3.0", "M1"),  # over the later span, and from there over the earlier one
        ("M1", "M2"),
        ("M2", "0.0"),
        ("3.0", "2.block.0.0"),
        ("M1", "1.block.1.0"),
        ("1.block.1.0", "1.block.0.0"),
    }


def test_error_flow_knows_layers_without_a_bias():
    net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
    assert set(layers.error_flow(net(batch(5, 4)).sum(), net)) == {("loss", "2"), ("2", "0")}
