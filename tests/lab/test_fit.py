import copy
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from neurogain.lab.fit import Training, accuracy, evaluate, fit, seeded

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def blobs(n=200, seed=0):
    """Two classes around (-1, -1) and (1, 1)."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % 2
    return torch.randn(n, 2, generator=generator) + (2 * y - 1)[:, None], y


def network(seed=0, dropout=0.0):
    with seeded(seed):
        return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 2))


def value(history, epoch, split, metric):
    row = history[(history.epoch == epoch) & (history.split == split) & (history.metric == metric)]
    return row.value.item()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 0.01), ("sgd", 0.3)])
def test_learns_what_can_be_learned(device, optimizer, rate):
    training = Training(epochs=5, batch_size=16, learning_rate=rate, optimizer=optimizer)
    model = network()
    history = fit(model, blobs(), blobs(seed=1), training, device=device)
    assert value(history, 5, "validation", "accuracy") > 0.85
    assert value(history, 5, "train", "loss") < value(history, 1, "train", "loss")
    assert evaluate(model, blobs(seed=1), device=device)["accuracy"] > 0.85


def test_history_is_tidy():
    history = fit(network(), blobs(), blobs(seed=1), Training(epochs=2))
    assert list(history.columns) == ["epoch", "split", "metric", "value"]
    assert [tuple(row) for row in history[["epoch", "split", "metric"]].to_numpy()] == [
        (epoch, split, metric)
        for epoch in (1, 2)
        for split in ("train", "validation")
        for metric in ("loss", "accuracy")
    ]
    assert set(fit(network(), blobs(), None, Training(epochs=1)).split) == {"train"}


def test_full_batch_sgd_is_gradient_descent_by_hand():
    # Least squares y = w x: dL/dw = mean(2 x (w x - y)).
    x, y = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[2.0], [3.0], [7.0]])
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    training = Training(epochs=3, batch_size=3, learning_rate=0.01, optimizer="sgd", weight_decay=0.5)
    history = fit(model, (x, y), (x, y), training, loss=nn.functional.mse_loss, metrics={})
    w, losses = 0.0, []
    for _ in range(3):
        losses.append(np.mean((w * x.numpy() - y.numpy()) ** 2))
        w -= 0.01 * (np.mean(2 * x.numpy() * (w * x.numpy() - y.numpy())) + 0.5 * w)
    assert model.weight.item() == pytest.approx(w, rel=1e-5)
    assert history[history.split == "train"].value.tolist() == pytest.approx(losses, rel=1e-5)


def test_evaluate_is_a_mean_over_samples_whatever_the_batch():
    model, (x, y) = network(), blobs(n=10)
    with torch.no_grad():
        output = model(x)
    right = sum(int(scores.argmax()) == int(label) for scores, label in zip(output, y, strict=True)) / 10
    for batch_size in (3, 10, 64):
        seen = evaluate(model, (x, y), batch_size=batch_size)
        assert seen["accuracy"] == pytest.approx(right)
        assert seen["loss"] == pytest.approx(nn.functional.cross_entropy(output, y).item(), rel=1e-6)


def test_accuracy_counts_positions_too():
    output = torch.tensor([[[9.0, 0.0], [0.0, 9.0]]])  # (batch 1, classes 2, positions 2)
    assert accuracy(output, torch.tensor([[0, 1]])) == 1
    assert accuracy(output, torch.tensor([[0, 0]])) == 0.5


def test_same_seed_same_history_bit_for_bit():
    def run(seed):
        return fit(network(dropout=0.5), blobs(), blobs(seed=1), Training(epochs=2, seed=seed))

    torch.manual_seed(1)
    first = run(0)
    torch.manual_seed(2)
    pd.testing.assert_frame_equal(first, run(0), check_exact=True)
    assert not first.equals(run(1))


def test_every_sample_is_seen_once_an_epoch_in_another_order():
    seen = []

    def forward(model, x):
        if model.training:
            seen.append(x[:, 0].tolist())
        return model(x)

    x, y = torch.stack([torch.arange(10.0), torch.zeros(10)], dim=1), torch.arange(10) % 2
    fit(network(), (x, y), (x, y), Training(epochs=2, batch_size=4), forward=forward)
    assert [len(batch) for batch in seen] == [4, 4, 2] * 2
    first, second = (list(chain(*batches)) for batches in (seen[:3], seen[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second and first != sorted(first)


def test_order_of_samples_does_not_depend_on_what_the_model_draws():
    def order(dropout):
        seen = []

        def forward(model, x):
            seen.extend(x[:, 0].tolist())
            return model(x)

        fit(network(dropout=dropout), blobs(50), None, Training(epochs=2, batch_size=5), forward=forward)
        return seen

    assert order(0.0) == order(0.5)


def test_the_global_generator_is_left_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(network(dropout=0.5), blobs(), None, Training(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_seeded_weights_depend_on_the_seed_alone():
    def weight(seed):
        return network(seed)[0].weight

    assert torch.equal(weight(3), weight(3))
    assert not torch.equal(weight(3), weight(4))


def test_only_what_requires_a_gradient_is_trained():
    model = network()
    model[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    fit(model, blobs(), None, Training(epochs=1, weight_decay=0.1))
    after = model.state_dict()
    assert {name for name in after if not torch.equal(before[name], after[name])} == {"3.weight", "3.bias"}
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing to train"):
        fit(model, blobs(), None, Training())


def test_left_in_evaluation_mode_even_after_an_error():
    model = network()
    fit(model, blobs(), None, Training(epochs=1))
    assert not model.training
    model.train()
    with pytest.raises(ValueError, match=r"train loss is .* in epoch 1 .*lower the learning rate"):
        x, y = blobs()
        fit(model, (x * float("nan"), y), None, Training(epochs=1))
    assert not model.training


def test_inputs_may_be_several():
    x, y = blobs()
    model = nn.Bilinear(2, 2, 2)
    fit(model, ((x, x), y), None, Training(epochs=1))
    with pytest.raises(ValueError, match=r"different length: \[200, 100, 200\]"):
        fit(model, ((x, x[:100]), y), None, Training(epochs=1))


@pytest.mark.parametrize(
    ("train", "validation", "words"),
    [
        ((torch.zeros(0, 2), torch.zeros(0).long()), None, "train split is empty"),
        (blobs(), (torch.zeros(0, 2), torch.zeros(0).long()), "validation split is empty"),
        ((torch.zeros(3, 2), torch.zeros(4).long()), None, r"train split .*different length: \[3, 4\]"),
        ((torch.zeros(3, 2), torch.tensor([0, 1, 2])), None, "label 2 of the train split .* from 0 to 1"),
        ((torch.zeros(2, 2), torch.tensor([0, -1])), None, "label -1 of the train split .* from 0 to 1"),
        (blobs(), (torch.zeros(1, 2), torch.tensor([7])), "label 7 of the validation split"),
    ],
)
def test_bad_data_is_refused_before_a_step(train, validation, words):
    model = network()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=words):
        fit(model, train, validation, Training(epochs=1))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_evaluate_refuses_bad_data():
    with pytest.raises(ValueError, match="label 2"):
        evaluate(network(), (torch.zeros(3, 2), torch.tensor([0, 1, 2])))
    with pytest.raises(ValueError, match="empty"):
        evaluate(network(), (torch.zeros(0, 2), torch.zeros(0).long()))


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("optimizer", "adamw"),
    ],
)
def test_training_refuses_what_cannot_be(field, bad):
    with pytest.raises(ValueError, match=f"{field} is {bad!r}: expected"):
        Training(**{field: bad})


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_unusable_device(device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used"):
        fit(network(), blobs(), None, Training(), device=device)
