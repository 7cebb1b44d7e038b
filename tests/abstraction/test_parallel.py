"""Threads and processes against `loss.backward()` on the same abstracted network."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from neurogain.abstraction import matrices, parallel, processes, seq2seq
from neurogain.abstraction.layers import Abstracted, abstract, error_flow, unwrap

LIMIT = 240.0  # s after which a test is a failure, on a machine with other things to do too


@pytest.fixture(autouse=True)
def no_longer_than_the_limit():
    """A deadlock ends the test with the stacks of all threads, rather than the patience of who runs it."""

    def late(*_):
        raise TimeoutError(f"still running after {LIMIT:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def one_thread():
    """What `loss.backward()` must use to be equal to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(spans, width=32, matrix=matrices.derived, seed=0):
    torch.manual_seed(seed)
    layers = [nn.Linear(width, width), nn.ReLU()]
    for _ in range(spans):
        layers.append(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()))
    stack = nn.Sequential(*layers, nn.Linear(width, 10))
    return abstract(stack, [(number, number) for number in range(3, 3 + spans)], matrix)


def batch(width=32, samples=48):
    x = torch.randn(samples, width, generator=torch.Generator().manual_seed(1))
    return x, torch.arange(samples) % 10


def gradients(net, backward=torch.Tensor.backward):
    net.zero_grad()
    x, y = batch()
    backward(cross_entropy(net(x), y))
    return {name: p.grad.clone() for name, p in net.named_parameters()}


def when_reached(block, do):
    """Call `do` in the backward pass, when the gradient of a block's first weight is there."""
    return next(block.parameters()).register_hook(lambda gradient: [do()].clear())


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("spans", [0, 1, 4])
def test_threads_find_the_gradients_of_the_sequential_backward_to_the_bit(spans, workers, one_thread):
    net = network(spans)
    expected = gradients(net)
    with parallel.Threads(workers) as threads:
        for _ in range(5):
            assert same(gradients(net, threads.backward), expected)


def test_wide_layers_are_equal_too(one_thread):
    """Wide enough for the matrix products to be cut among threads, were there several."""
    net = network(3, width=300, matrix=matrices.identity)
    x, y = batch(300, 200)
    cross_entropy(net(x), y).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with parallel.Threads(2) as threads:
        threads.backward(cross_entropy(net(x), y))
    assert all(torch.equal(a, p.grad) for a, p in zip(expected, net.parameters(), strict=True))


def test_gradients_are_added_to_those_that_are_there(one_thread):
    net = network(2)
    expected = {name: 2 * gradient for name, gradient in gradients(net).items()}
    x, y = batch()
    with parallel.Threads(2) as threads:
        threads.backward(cross_entropy(net(x), y))
    assert same({name: p.grad for name, p in net.named_parameters()}, expected)


def test_an_optimizer_takes_the_same_steps(one_thread):
    def train(backward):
        net = network(2)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(5):
            gradients(net, backward)
            optimizer.step()
        return net.state_dict()

    with parallel.Threads(2) as threads:
        assert same(train(threads.backward), train(torch.Tensor.backward))


def test_a_span_inside_a_span_and_one_that_is_frozen(one_thread):
    torch.manual_seed(0)
    inner = Abstracted(nn.Linear(32, 32), matrices.zero)
    outer = Abstracted(nn.Sequential(nn.Linear(32, 32), inner, nn.ReLU()), matrices.identity)
    frozen = Abstracted(nn.Linear(32, 32).requires_grad_(False), matrices.identity)
    net = nn.Sequential(nn.Linear(32, 32), outer, frozen, nn.Linear(32, 10))

    def found(backward):
        net.zero_grad(set_to_none=True)
        x, y = batch()
        backward(cross_entropy(net(x), y))
        return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}

    with parallel.Threads(2) as threads:
        assert same(found(threads.backward), found(torch.Tensor.backward))
    assert len(found(torch.Tensor.backward)) == 8


def test_spans_really_run_at_the_same_time():
    """Two blocks that wait for each other: one after the other they would wait for ever."""
    meeting = threading.Barrier(2, timeout=LIMIT / 2)
    net = network(2)
    for span in (net[2], net[3]):
        when_reached(span.block, meeting.wait)
    with parallel.Threads(2) as threads:
        jobs = threads.backward(cross_entropy(net(batch()[0]), batch()[1]))
    assert [job.name for job in jobs] == ["trunk", "span 1", "span 2"]
    first, second = jobs[1:]
    assert first.worker != second.worker
    assert max(first.start, second.start) < min(first.end, second.end)


def test_the_trunk_does_not_wait_for_the_spans():
    """A span that waits for the first layer: in a sequential backward the first layer would come after it."""
    arrived = threading.Event()
    net = network(1)
    when_reached(net[0], arrived.set)
    seen = []
    when_reached(net[2].block, lambda: seen.append(arrived.wait(LIMIT / 2)))
    with parallel.Threads(2) as threads:
        threads.backward(cross_entropy(net(batch()[0]), batch()[1]))
    assert seen == [True]


def test_threads_count_alone_and_leave_the_callers_count_as_it_was():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        net, seen = network(2), []
        for span in (net[2], net[3]):
            when_reached(span.block, lambda: seen.append(torch.get_num_threads()))
        with parallel.Threads(2) as threads:
            threads.backward(cross_entropy(net(batch()[0]), batch()[1]))
        assert seen == [1, 1]
        assert torch.get_num_threads() == 2
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert seen[-1] == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("where", [0, 2, 3])
def test_what_fails_in_a_thread_is_raised_in_the_caller_and_the_threads_live_on(where, one_thread):
    net = network(2)
    expected = gradients(net)

    def fail():
        raise ArithmeticError("broken")

    hook = when_reached(net[where], fail)
    with parallel.Threads(2) as threads:
        with pytest.raises(ArithmeticError, match="broken"):
            gradients(net, threads.backward)
        hook.remove()
        assert same(gradients(net, threads.backward), expected)


def test_steps_follow_the_longest_way():
    net = abstract(nn.Sequential(*(nn.Linear(8, 8) for _ in range(6))), [(2, 3), (4, 5)], matrices.identity)
    plain = unwrap(net)
    x = torch.zeros(2, 8)
    when = parallel.steps(error_flow(plain(x).sum(), plain))
    assert [when[str(number)] for number in range(6)] == [6, 5, 4, 3, 2, 1]
    when = parallel.steps(error_flow(net(x).sum(), net))
    assert when["3"] == 1  # the last layer; the spans are children 1 and 2
    assert (when["M1"], when["2.block.1"], when["2.block.0"]) == (2, 2, 3)
    assert (when["M2"], when["1.block.1"], when["1.block.0"], when["0"]) == (3, 3, 4, 4)


def test_what_is_kept_for_the_backward_pass_is_counted():
    first, second = nn.Linear(5, 7), nn.Linear(7, 3)
    net = nn.Sequential(first, nn.Sigmoid(), second)
    x = torch.zeros(4, 5)
    assert parallel.kept_bytes(lambda: net(x), net) == 4 * (4 * 5 + 4 * 7)  # x and the sigmoid's output
    jumping = nn.Sequential(first, Abstracted(nn.Sequential(nn.Sigmoid(), second), matrices.derived))
    assert parallel.kept_bytes(lambda: jumping(x), jumping) == 4 * (4 * 5 + 4 * 7 + 7 * 3)  # and the matrix


def test_closing_ends_the_threads():
    with parallel.Threads(3):
        assert sum(t.name.startswith("backward") for t in threading.enumerate()) == 3
    assert not any(t.name.startswith("backward") for t in threading.enumerate())


def transformer(cross):
    torch.manual_seed(0)
    shape = seq2seq.Shape(width=16, heads=2, feedforward=32, layers=3)
    model = seq2seq.Transformer(shape, source_words=11, target_words=11)
    return seq2seq.abstract(model, "E23,D23", matrices.identity, cross=cross)


def translate(model, backward):
    model.zero_grad()
    tokens = torch.randint(4, 11, (5, 7), generator=torch.Generator().manual_seed(3))
    backward(model(tokens, tokens).logsumexp(-1).mean())
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_a_transformer_is_cut_as_well(one_thread):
    model = transformer(cross=False)
    expected = translate(model, torch.Tensor.backward)
    with parallel.Threads(2) as threads:
        assert same(translate(model, threads.backward), expected)


def test_a_span_that_leads_back_to_the_trunk_is_refused():
    with parallel.Threads(2) as threads, pytest.raises(ValueError, match="meet in"):
        translate(transformer(cross=True), threads.backward)


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match="workers is 0"):
        parallel.Threads(0)
    with parallel.Threads(1) as threads:
        with pytest.raises(ValueError, match="expected a scalar"):
            threads.backward(torch.zeros(2, requires_grad=True) * 1)
        with pytest.raises(ValueError, match="does not depend"):
            threads.backward(torch.zeros(()))
    with pytest.raises(ValueError, match="processes is 0"):
        processes.spawn(print, 0)


class Head(nn.Module):
    """The last layer and the loss."""

    def __init__(self, linear, y):
        super().__init__()
        self.linear, self.y = linear, y

    def forward(self, x):
        return cross_entropy(self.linear(x), self.y)


@pytest.mark.parametrize("count", [2, 3])
def test_processes_find_the_gradients_of_the_sequential_backward_to_the_bit(count, one_thread):
    net = network(count)
    expected = gradients(net)
    x, y = batch()
    blocks = [nn.Sequential(*net[:3]), *net[3:-1]]
    found = processes.gradients(blocks, x, Head(net[-1], y), timeout=LIMIT / 2)
    names = [f"{i}." for i in range(3, 2 + count)]
    seen = found[0] | {names[i] + k: v for i, part in enumerate(found[1:]) for k, v in part.items()}
    head = {k.rpartition("loss.linear.")[2]: v for k, v in found[-1].items() if "loss." in k}
    seen = {k: v for k, v in seen.items() if "loss." not in k}
    assert same(seen | {f"{len(net) - 1}.{k}": v for k, v in head.items()}, expected)


def fail_in_one(rank):
    if rank == 1:
        raise ArithmeticError("broken")
    torch.distributed.barrier()  # waits for the one that failed


def test_what_fails_in_a_process_is_raised_in_the_caller_and_no_process_is_left():
    with pytest.raises(RuntimeError, match=r"(?s)process 1 of 2 failed.*ArithmeticError: broken"):
        processes.spawn(fail_in_one, 2, timeout=LIMIT / 2)
    assert not multiprocessing.active_children()


def say_and_wait(rank, folder):
    with open(f"{folder}/{rank}", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(LIMIT)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks processes up in /proc")
def test_no_process_outlives_a_caller_that_is_killed(tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from neurogain.abstraction import processes\nfrom test_parallel import say_and_wait\n"
        f"if __name__ == '__main__': processes.spawn(say_and_wait, 2, {str(tmp_path)!r})\n"
    )
    (tmp_path / "caller.py").write_text(code)
    caller = subprocess.Popen([sys.executable, tmp_path / "caller.py"])
    files = [tmp_path / "0", tmp_path / "1"]
    while not all(file.exists() and file.read_text() for file in files):
        assert caller.poll() is None
        time.sleep(0.1)
    caller.kill()
    caller.wait()
    pids = [int(file.read_text()) for file in files]
    until = time.monotonic() + LIMIT / 3
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids)


def wrong_arguments(rank):
    try:
        processes.step(nn.Linear(2, 2), x=torch.zeros(1, 2))
    except ValueError as error:
        return str(error)


def test_a_process_without_its_loss_says_so():
    assert "the last one takes loss" in processes.spawn(wrong_arguments, 1)[0]


needs_a_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOT TESTED HERE: streams need a CUDA device, and there is none"
)


@needs_a_gpu
def test_streams_find_the_gradients_of_one_stream():
    net = network(3, width=256, matrix=matrices.identity).cuda()
    x, y = (part.cuda() for part in batch(256))
    cross_entropy(net(x), y).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    for _ in range(10):
        net.zero_grad()
        with parallel.streams(net):
            loss = cross_entropy(net(x), y)
        loss.backward()
        torch.cuda.synchronize()
        for a, p in zip(expected, net.parameters(), strict=True):
            torch.testing.assert_close(p.grad, a)


@needs_a_gpu
def test_threads_on_a_gpu_find_the_same_gradients():
    net = network(3, width=256, matrix=matrices.identity).cuda()
    x, y = (part.cuda() for part in batch(256))
    cross_entropy(net(x), y).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    with parallel.Threads(2) as threads:
        threads.backward(cross_entropy(net(x), y))
    torch.cuda.synchronize()
    for a, p in zip(expected, net.parameters(), strict=True):
        torch.testing.assert_close(p.grad, a)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_streams_without_a_gpu_are_refused():
    with pytest.raises(ValueError, match="CUDA"), parallel.streams(network(1)):
        pass
