"""Band power against sines of known power, bits against their order, splits against what they promise."""

import numpy as np
import pytest

from neurogain.data import eeg
from neurogain.data.eeg_deap import CHANNELS, Participant
from neurogain.data.eeg_synthetic import Cohort, participant


def sine(frequency, amplitude, samples=1280):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(samples) / 128)


def person(trials=10, samples=512, seed=0, name="s01"):
    rng = np.random.default_rng(seed)
    ratings = np.where(np.arange(trials)[:, None] % 2, 8.0, 2.0).repeat(4, axis=1)
    return Participant(name, rng.standard_normal((trials, 32, samples)).astype(np.float32), ratings)


@pytest.mark.parametrize(
    "frequency, band",
    [
        (4, 0),
        (7, 0),
        (8, 1),
        (13, 1),
        (14, 2),
        (20, 2),
        (21, 3),
        (29, 3),
        (30, 4),
        (47, 4),
        (7.5, None),
        (50, None),
    ],
)
def test_a_sine_has_half_its_squared_amplitude_in_its_band_and_nothing_elsewhere(frequency, band):
    power = eeg.band_power(sine(frequency, 3.0)[None, None])[0, 0]
    expected = np.zeros(5)
    if band is not None:
        expected[band] = 4.5
    np.testing.assert_allclose(power, expected, atol=1e-9)


def test_band_power_does_not_know_when_but_noise_changes_it():
    copies = eeg.augment(eeg.normalise(person().eeg), np.random.default_rng(1))
    power = {name: eeg.band_power(signal) for name, signal in copies.items()}
    assert not np.array_equal(copies["shifted"], copies["original"])
    np.testing.assert_allclose(power["shifted"], power["original"], rtol=1e-6)
    np.testing.assert_allclose(power["reversed"], power["original"], rtol=1e-6)
    assert np.abs(power["noisy"] / power["original"] - 1).max() > 0.01


def test_shift_moves_each_trial_by_its_own_steps():
    signal = np.arange(10).reshape(2, 1, 5)
    assert eeg.shift(signal, np.array([1, -2])).tolist() == [[[4, 0, 1, 2, 3]], [[7, 8, 9, 5, 6]]]
    assert eeg.shift(signal, 0).tolist() == signal.tolist()


def test_normalise_keeps_the_difference_between_trials():
    signal = person().eeg
    signal[0] *= 3
    scaled = eeg.normalise(signal * 7 + 5)
    np.testing.assert_allclose(scaled.std((0, 2)), 1, rtol=1e-4)
    assert (scaled[0].std(1) > 2 * scaled[1].std(1)).all()
    with pytest.raises(ValueError, match="channel 3 never changes"):
        signal[:, 3] = 1
        eeg.normalise(signal)


def test_bits_are_channel_by_channel_and_their_level_is_the_mean():
    power = np.ones((4, 32, 5))
    power[2, CHANNELS.index("C3"), 1] = 9  # mean over trials 3, over trials and channels 1 + 8/128
    power[:, CHANNELS.index("O1"), 4] = 2
    each = eeg.to_bits(power, eeg.threshold(power))
    assert np.argwhere(each).tolist() == [[2, 5 * 6 + 1]]
    pooled = eeg.to_bits(power, eeg.threshold(power, "band"))
    assert np.argwhere(pooled).tolist() == [[0, 69], [1, 69], [2, 31], [2, 69], [3, 69]]
    with pytest.raises(ValueError, match=r"'trial'.*channel, band"):
        eeg.threshold(power, "trial")


def test_samples_keep_labels_and_trials_beside_their_bits():
    data = eeg.samples(person(), seed=0)
    assert data.bits.shape == (40, 160) and set(np.unique(data.bits)) == {0, 1}
    original = data[data.copy == "original"]
    for name in ("shifted", "reversed"):
        copy = data[data.copy == name]
        assert np.array_equal(copy.bits, original.bits)
        assert np.array_equal(copy.labels, original.labels) and np.array_equal(copy.trial, original.trial)
    assert not np.array_equal(data[data.copy == "noisy"].bits, original.bits)
    assert original.labels.tolist() == [0, 1] * 5
    other = eeg.samples(person(), seed=0, labels=np.ones(10, int))
    assert other.labels.all() and np.array_equal(other.bits, data.bits)
    with pytest.raises(ValueError, match=r"\(3,\), expected \(10,\)"):
        eeg.samples(person(), seed=0, labels=[0, 1, 0])


def together(*parts):
    return eeg.Samples(
        *(np.concatenate([getattr(p, f) for p in parts]) for f in eeg.Samples.__dataclass_fields__)
    )


def test_splits_keep_together_what_they_promise():
    data = together(*(eeg.samples(person(seed=n, name=f"s0{n}"), seed=n) for n in (1, 2, 3)))
    for kind, apart in (("by-trial", True), ("sample", False)):
        train, test = eeg.split(kind, data, seed=0, balance=0.1)
        assert sorted([*train, *test]) == list(range(len(data))) and len(test) == 24
        assert abs(2 * data.labels[test].mean() - 1) <= 0.1
        keys = [set(zip(data.participant[part], data.trial[part], strict=True)) for part in (train, test)]
        assert keys[0].isdisjoint(keys[1]) == apart
        assert eeg.twins(data, train, test).any() != apart
    left_out = [set(data.participant[test]) for _, test in eeg.leave_one_participant_out(data)]
    assert left_out == [{"s01"}, {"s02"}, {"s03"}]
    with pytest.raises(ValueError, match=r"'random'.*sample, by-trial"):
        eeg.split("random", data, seed=0)
    with pytest.raises(ValueError, match="1000 draws"):
        eeg.split("sample", eeg.samples(person(), 0, labels=np.zeros(10)), seed=0, balance=0.1)


def test_rates_have_wilsons_interval():
    half = 1.96 * np.sqrt(1 / 128 + 1.96**2 / 4096) / (1 + 1.96**2 / 32)  # Wilson's formula at 16 of 32
    assert np.allclose(eeg.rate(16, 32), (0.5, 0.5 - half, 0.5 + half), atol=1e-5)
    assert eeg.rate(32, 32).high == 1 and eeg.rate(32, 32).low < 0.9
    assert eeg.majority(np.array([0, 0, 0, 1])).value == 0.75


def test_a_planted_effect_is_where_it_was_planted_and_nowhere_else():
    cohort = Cohort(
        participants=1, trials=60, samples=1024, offset=0, trial=0, mixing=0, video=0, class_effect=2.0
    )
    someone = participant(cohort, 0)
    power, high = eeg.band_power(someone.eeg), someone.high() == 1
    ratio = np.log(power[high].mean(0) / power[~high].mean(0))  # (channels, bands)
    planted = np.zeros((32, 5), bool)
    planted[[CHANNELS.index(c) for c in cohort.channels], 1] = True
    np.testing.assert_allclose(ratio[planted], 2.0, atol=0.35)
    assert np.abs(ratio[~planted]).max() < 0.5
    assert 9 < someone.eeg[:, 10].std() < 11  # µV
    none = participant(Cohort(participants=1, trials=4, samples=512, class_effect=0), 0)
    assert none.eeg.shape == (4, 32, 512)


def test_a_video_does_the_same_to_everybody_and_mixing_makes_heads_differ():
    calm = {"trials": 30, "samples": 1024, "offset": 0, "trial": 0, "class_effect": 0}

    def profile(index, **effects):
        power = np.log(eeg.band_power(participant(Cohort(participants=2, **calm | effects), index).eeg))
        return power - power.mean(0)

    shared = np.corrcoef(profile(0, video=1.0, mixing=0).ravel(), profile(1, video=1.0, mixing=0).ravel())[
        0, 1
    ]
    alone = np.corrcoef(profile(0, video=0, mixing=0).ravel(), profile(1, video=0, mixing=0).ravel())[0, 1]
    assert shared > 0.8 and abs(alone) < 0.1

    def crosstalk(mixing):
        someone = participant(Cohort(participants=1, video=0, mixing=mixing, **calm), 0)
        return np.abs(np.corrcoef(someone.eeg.transpose(1, 0, 2).reshape(32, -1)) - np.eye(32)).max()

    assert crosstalk(0) < 0.1 < crosstalk(1)


def test_a_cohort_comes_from_its_seed():
    small = {"participants": 3, "trials": 4, "samples": 256}
    one, same = participant(Cohort(**small), 1), participant(Cohort(**small | {"participants": 2}), 1)
    assert np.array_equal(one.eeg, same.eeg) and np.array_equal(one.ratings, same.ratings)
    assert not np.array_equal(one.eeg, participant(Cohort(**small, seed=1), 1).eeg)
    assert not np.array_equal(one.eeg, participant(Cohort(**small), 2).eeg)
    for wrong, said in (
        ({"trials": 0}, "0 trials"),
        ({"bands": ("delta",)}, "unknown delta"),
        ({"agreement": 2}, "0 to 1"),
    ):
        with pytest.raises(ValueError, match=said):
            Cohort(**wrong)
    with pytest.raises(ValueError, match="participant 3: expected 0 to 2"):
        participant(Cohort(**small), 3)
