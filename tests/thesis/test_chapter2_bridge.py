"""Gains on volts, with a small random network and made-up features; and what page 5's results say."""

import numpy as np
import pandas as pd
import pytest
import torch

from neurogain.bridge import Curves
from neurogain.lab import results
from neurogain.thesis import chapter2_bridge as volts
from neurogain.thesis import chapter2_bridge_circuit as circuit
from neurogain.thesis import chapter2_bridge_readings as readings
from neurogain.thesis import chapter2_spiking as spiking
from neurogain.thesis.chapter2_bridge import Volts
from neurogain.tuning.spiking_tuning import evaluate


@pytest.fixture
def small(random_head):
    random_head(1200)
    caches = volts.learned, volts._software
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.fixture
def one_gain(monkeypatch):
    """A synapse whose gain is its voltage in units of 750 mV, up and down alike."""
    line = np.linspace(0.4, 1.1, 15)

    def curves(unit=0.75, celsius=27.0):
        return Curves(line, line[None] / unit, line[None] / unit)

    monkeypatch.setattr(volts, "typical", curves)
    monkeypatch.setattr(volts, "varied", curves)
    monkeypatch.setattr(volts, "believed", lambda belief, v, unit: np.asarray(v) / unit)


def values(**fields):
    return {row["metric"]: row["value"] for row in volts.run_volts(Volts(epochs=3, **fields))}


def test_without_voltages_the_score_is_the_softwares(small):
    net, _, test = volts.learned("digits", "converted", 3, 0)
    found, expected = values(circuit=False), evaluate(net, *test)
    assert {name: found[name] for name in expected} == expected
    assert found["agree"] == 1


def test_fine_voltages_and_equal_signs_are_the_software(small, one_gain):
    """Unless a gain lies out of the range 0.5/0.75 to 1/0.75."""
    fine = values(data="cifar10", bits=12)
    assert [fine[f"clipped {k}"] for k in (1, 2, 3)] == [0, 0, 0]
    assert fine["agree"] > 0.98
    assert values(data="cifar10", bits=1)["agree"] < fine["agree"]


def test_excitation_and_inhibition_that_part_change_answers(small):
    assert values(data="cifar10", bits=12)["agree"] < 0.999


def test_gains_of_one_are_the_untuned_network(small, one_gain):
    untuned = values(data="cifar10", gains="one", bits=12, low=0.5, high=1.0)
    config = spiking.Spiking("cifar10", "none", images=1000, tested=2500, silent=0.0, converted=True)
    net, test = spiking.tuned(config)
    expected = evaluate(net, *test)
    assert untuned["none"] == pytest.approx(expected["none"], abs=0.01)


def test_without_mismatch_own_curves_choose_what_the_typical_one_does(small):
    plain, trimmed = (values(mismatch=0.0, trimmed=t) for t in (False, True))
    assert plain == trimmed


def test_mismatch_depends_on_the_chip_and_its_seed_alone(small):
    assert values(mismatch=1.0, chip=3) == values(mismatch=1.0, chip=3)
    assert values(mismatch=1.0, chip=3) != values(mismatch=1.0, chip=4)


def test_gains_learned_together_are_one_in_each_domain(small):
    net, _, _ = volts.learned("digits", "drawn", 3, 0, False, (4, "random", 0))
    free = volts.learned("digits", "drawn", 3, 0)[0]
    groups = volts.shared("digits", "drawn", 3, 0, False, 4, "random", 0)
    for layer, alone, domain in zip(net.layers, free.layers, groups, strict=True):
        for k in range(domain.max() + 1):
            assert len(set(layer.gain.detach()[domain == k].tolist())) == 1
        assert len(set(alone.gain.tolist())) == (len(domain) if alone.gain.requires_grad else 1)


def test_the_new_layer_has_no_dials(small):
    net = volts.learned("digits", "converted", 3, 0)[0]
    rng = np.random.default_rng(0)
    for gains in volts.GAINS:
        asked = volts.asked(net, gains, np.array([0.3, 1.8]), rng)
        assert (asked[-1] == 1).all()
    shuffled = volts.asked(net, "shuffled", np.array([0.3, 1.8]), rng)
    assert sorted(shuffled[0]) == sorted(net.layers[0].gain.tolist())


def test_rounded_weights_stand_on_fifteen_levels():
    weight = torch.randn(50, 50, generator=torch.Generator().manual_seed(0))
    found = volts.rounded(weight)
    levels = found.unique()
    assert len(levels) <= 15 and torch.allclose(levels.diff(), levels.diff()[0], atol=1e-5)
    assert (found - weight).square().mean() < 0.02


def test_beliefs_agree_where_a_gain_is_one_and_rise():
    volt = np.linspace(0.5, 1, 11)
    for belief in circuit.BELIEFS:
        gains = circuit.believed(belief, volt)
        assert gains[5] == pytest.approx(1) and (np.diff(gains) > 0).all()
    vth, x = 0.363, lambda v: 51 * (v - 0.363)  # β R = 51 / V, as page 4 fits it
    printed = np.sqrt((4 * x(volt) - 1) + 2 * x(volt) + 1)
    assert circuit.believed("eq. 16, as printed", volt) == pytest.approx(printed / printed[5], rel=0.05)
    assert circuit.believed("square law", volt) == pytest.approx(((volt - vth) / (0.75 - vth)) ** 2, rel=0.05)


def test_the_lowest_supply_is_found_in_both_columns():
    table = pd.DataFrame(
        {
            "depth": "behavioural",
            "weights": "[4, 4, -1]",
            "vdd": [0.5, 0.6, 0.7],
            "fires": [False, False, True],
            "predicted": [0.3, 0.36, 0.4],
        }
    )
    row = circuit.thresholds(table).iloc[0]
    assert (row.found, row.predicted, row.inhibited) == (0.7, 0.6, True)


def test_triples_can_reach_the_threshold():
    assert all(4 <= sum(weights) <= 20 and max(map(abs, weights)) <= 7 for weights in circuit.triples())
    assert len(set(circuit.triples())) == circuit.TRIPLES


def test_a_cost_is_the_sum_of_what_was_counted(monkeypatch):
    terms = dict.fromkeys(("decision", "spike", "bias", "event", "reference", "printed"), 1.0)
    monkeypatch.setattr(readings, "energy_terms", lambda: terms)
    found = readings.cost([5, 2, 1], [(3, 10), (4, 3)])
    assert (found["spikes"], found["printed"], found["decisions"]) == (3, 3, 7)
    assert found["events"] == 5 * 3 + 2 * 4
    assert found["own"] / found["shared"] == pytest.approx((30 + 12) / 7)


def test_energy_terms_explain_the_simulations_they_are_fitted_to():
    """A row of Figure 8 that is far from the mean, predicted from its counts."""
    terms = circuit.energy_terms()
    row = results.load("ch2-fig8").table.iloc[0]  # one output spike of ten
    core = row.energy_comparator_fJ + row.energy_spike_generator_fJ + row.energy_bias_fJ
    counted = (
        row.input_spikes * terms["decision"]
        + row.output_spikes * terms["spike"]
        + 1e-9 * row.duration_ns * terms["bias"]
    )
    assert 1e15 * counted == pytest.approx(core, rel=0.1)


def test_an_unknown_row_is_refused():
    with pytest.raises(ValueError, match="no row"):
        readings.seen(readings.stored("bits").table, "strict", bits=99)


def test_the_simulated_neuron_fires_near_the_supply_that_eq_3_says():
    """Within two of ngspice's steps of 25 mV, once a common loss of charge is allowed for."""
    table = readings.stored("update").table
    assert 0.7 < circuit.reached(table) < 1
    found = circuit.thresholds(table, circuit.reached(table))
    assert (found.found - found.predicted).abs().max() < 0.0501
    by_hand = table[(table.weights == "[5, 0, 0]") & (table.depth == "behavioural") & (table.vdd == 1.0)]
    charge = 7e-8 * 100e-9  # C: 5/8 of the current that 1 V drives through 5 MΩ and a transistor, some 70 nA
    assert by_hand.predicted.item() == pytest.approx(0.25 + charge / 50e-15, abs=0.015)


@pytest.mark.parametrize("point", [{"bits": 6, "size": 1}, {"bits": 2, "size": 4}])
def test_a_live_point_lies_within_the_stored_spread(point):
    """The stored digits are those of five seeds, the live one's is the first of them."""
    point = point | {"mismatch": 0.0, "codes": "by the typical curve"}
    table = readings.explorer_table()
    stored = table[np.logical_and.reduce([table[k] == v for k, v in (point | {"data": "digits"}).items()])]
    live = readings.explore("digits", **point)
    assert len(stored) == len(live) == 2
    for s, one in zip(stored.itertuples(), live.itertuples(), strict=True):
        assert s.reading == one.reading and s.low - 1e-9 <= one.value <= s.high + 1e-9


def test_without_its_files_a_set_answers_from_the_nearest_stored_point(monkeypatch, tmp_path):
    monkeypatch.setattr(readings.catalog, "where", lambda name: tmp_path / "nowhere")
    near = readings.explore("CIFAR-10", 5.4, 3, 0.9, "by each neuron's own")
    table = readings.explorer_table().query(
        "data == 'CIFAR-10' and bits == 6 and size == 4 and mismatch == 1"
    )
    exact = table[table.codes == "by each neuron's own"]
    assert near.value.tolist() == exact.value.tolist()
