"""The translator's experiments: their sizes, their rows, and the dip that they are there to show."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from neurogain.abstraction import layers, seq2seq
from neurogain.thesis import chapter3_tokens as tokens
from neurogain.thesis import chapter3_transformer as chapter
from neurogain.thesis import experiment, tables

TINY = replace(
    chapter.base("quick", None, "cpu")[0], pairs=40, tested=6, layers=2, spans="E2", ablate=("E2",)
)


def test_every_table_of_the_transformer_has_an_experiment():
    printed = {f"ch3-table{table}" for table in tables.load(chapter=3).table.unique()} - {"ch3-table1"}
    assert printed <= {one.name for one in chapter.EXPERIMENTS}


def test_full_is_the_size_of_the_thesis():
    for one in chapter.EXPERIMENTS:
        for config in one.configs("full", "multi30k", "cuda"):
            assert (config.width, config.epochs, config.batch_size) == (512, 14, 32)
            assert config.layers in (3, 6) and config.device == "cuda" and config.pairs == 0
    assert {c.layers for c in chapter.table5_configs("full", "multi30k", "cuda")} == {3, 6}


@pytest.mark.parametrize("one", [*chapter.EXPERIMENTS, *tokens.EXPERIMENTS], ids=lambda one: one.name)
def test_configurations_of_one_experiment_differ_and_their_spans_fit(one):
    for profile in one.profiles:
        for data in (None, "multi30k"):
            configs = one.configs(profile, data, "cpu")
            assert len(set(configs)) == len(configs)
            for config in configs:
                if isinstance(config, chapter.Translation):
                    assert any(seq2seq.parse(config.spans, config.layers).values())


def test_spans_are_those_of_the_thesis():
    six = {c.spans for c in chapter.table6_configs("book", None, "cpu") if c.method == "M=I"}
    seven = {c.spans for c in chapter.table7_configs("book", None, "cpu")}
    for table, spans in ((6, six), (7, seven)):
        columns = tables.load(chapter=3, table=table).column.unique()
        assert {column.partition("(")[2].rstrip(")") for column in columns} == spans


@pytest.mark.parametrize("method", chapter.METHODS)
def test_a_tiny_run_has_tidy_rows(method):
    table = pd.DataFrame(chapter.run_translation(replace(TINY, method=method)))
    assert not table.duplicated(["epoch", "metric", "ablated"]).any()
    whole = table[(table.ablated == "none") & table.metric.isin(["BLEU", "validation loss"])]
    assert whole.value.between(0, 20).all()
    assert set(table.ablated) == {"none", "E2"}
    jumps = method in ("M=I", "derived", "random")
    assert table.metric.isin(["cosine", "length"]).any() == jumps


def test_one_step_at_the_size_of_the_thesis():
    config = replace(
        TINY, width=512, heads=8, feedforward=2048, dropout=0.1, layers=1, spans="E1", method="M=I"
    )
    rows = chapter.run_translation(
        replace(config, pairs=4, batch_size=4, tested=2, ablate=(), beam=2, longest=0)
    )
    assert [row["epoch"] for row in rows if row["metric"] == "validation loss"] == [0, 1]


def test_conditions_begin_with_the_same_weights():
    models = [chapter.build(replace(TINY, method=method), 50, 40) for method in chapter.METHODS]
    plain = models[0].state_dict()
    for model in models[1:]:
        other = seq2seq.unwrap(model).state_dict()
        assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_a_frozen_span_stays_as_it_was():
    model = chapter.build(replace(TINY, method="frozen"), 50, 40)
    assert not any(p.requires_grad for p in model.encoder[1].parameters())
    assert all(p.requires_grad for p in model.encoder[0].parameters())


def test_few_tokens_are_the_first_of_the_batch():
    x, y = torch.randn(20, 3), torch.randn(20, 3)
    some = chapter.some_tokens(x, y, tokens=5, ridge=0.0)
    torch.testing.assert_close(some, torch.linalg.lstsq(x[:5], y[:5]).solution)
    torch.testing.assert_close(
        chapter.some_tokens(x, y, tokens=0, ridge=0.0), torch.linalg.lstsq(x, y).solution
    )


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="unknown method 'identity'"):
        chapter.build(replace(TINY, method="identity"), 50, 40)
    with pytest.raises(ValueError, match="'E456' does not lie in 2 layers"):
        chapter.build(replace(TINY, ablate=("E456",)), 50, 40)


# ---- the dip -----------------------------------------------------------------------------------------------


def test_least_squares_is_worst_where_tokens_are_about_as_many_as_the_width():
    config = tokens.Untrained(width=64, heads=4, feedforward=128, sizes=(32, 64, 512), ridges=(0.0, 0.1))
    table = pd.DataFrame(tokens.run_untrained(config))
    cosine = table[table.metric == "cosine"].pivot(
        index="tokens", columns=["matrix", "used_ridge"], values="value"
    )
    assert cosine["derived", 0.0].idxmin() == 64
    assert cosine["derived", 0.1][64] > 2 * cosine["derived", 0.0][64]
    assert cosine["M=I"].iloc[:, 0].min() > 0.3 > cosine["random"].iloc[:, 0].abs().max()
    length = table[(table.metric == "length") & (table.matrix == "derived") & (table.used_ridge == 0)]
    assert length.set_index("tokens").value.idxmax() == 64


def test_without_residual_connections_the_identity_points_nowhere():
    config = tokens.Untrained(width=64, heads=4, feedforward=128, sizes=(512,), residual=False)
    rows = {(r["matrix"], r["metric"]): r["value"] for r in tokens.run_untrained(config)}
    assert abs(rows["M=I", "cosine"]) < 0.1


def test_the_angle_is_that_of_the_library():
    model = chapter.build(replace(TINY, layers=1, spans="E1", ablate=()), 50, 40)
    before, error = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    real = torch.ones(2, 5, dtype=torch.bool)
    matrix = torch.randn(16, 16)
    rows = tokens.look(
        lambda x: model.encoder(x, real), before, error, real, {("mine", None): lambda x, y: matrix}
    )
    expected = layers.fidelity(lambda x: model.encoder(x, real), before, error, matrix)
    assert [row["value"] for row in rows] == pytest.approx(expected, abs=1e-4)


def test_a_layer_of_weights_alone_is_homogeneous():
    linear, real = torch.nn.Linear(6, 6, bias=False), torch.ones(2, 3, dtype=torch.bool)
    norm = torch.nn.LayerNorm(6)
    x = torch.randn(2, 3, 6)
    assert tokens.mismatch(linear, x, real)[0]["value"] == pytest.approx(0, abs=1e-4)
    assert tokens.mismatch(norm, x, real)[0]["value"] == pytest.approx(1, abs=1e-3)


def test_quick_sweeps_run(tmp_path):
    for one in tokens.EXPERIMENTS:
        table = pd.read_csv(experiment.reproduce(one, "quick", out=tmp_path, memory=None))
        assert table[table.metric == "cosine"].value.between(-1, 1).all()


def test_batches_have_the_tokens_that_were_asked_for():
    pairs = [([4] * n, [5]) for n in (3, 5, 7, 9)]
    drawn = tokens.drawn(pairs, 13, torch.Generator().manual_seed(0))
    assert sum(len(source) for source, _ in drawn) == 13
    with pytest.raises(ValueError, match="fewer than 100 tokens"):
        tokens.drawn(pairs, 100, torch.Generator().manual_seed(0))
