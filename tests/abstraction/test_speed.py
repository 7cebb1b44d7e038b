"""The model of speed against numbers that can be worked out by hand."""

from itertools import pairwise

import pytest

from neurogain.abstraction import speed
from neurogain.abstraction.speed import Cost


def test_the_thesis_example_and_its_own_experiments():
    assert speed.thesis_speedup(m=6, o=2, l=6) == 2
    assert speed.thesis_speedup(m=1, o=2, l=6) == 0.75
    assert speed.thesis_speedup(m=2, o=2, l=6) == pytest.approx(1.2)


def test_the_last_span_does_not_wait_for_its_own_matrix():
    """Trunk 6 · 2 = 12; the last span begins after five jumps and takes 6: 16, where the thesis has 18."""
    jobs = speed.schedule(Cost(spans=6, span=6, jump=2), workers=7)
    assert [job.start for job in jobs] == [0, 0, 2, 4, 6, 8, 10]
    assert max(job.end for job in jobs) == 16
    assert speed.speedup(Cost(spans=6, span=6, jump=2), workers=7) == 36 / 16


def test_matrices_that_are_derived_first_delay_everything():
    """Six at 1 each, then 6 + 5 · 1 more: with o = 2 in two halves."""
    jobs = speed.schedule(Cost(spans=6, span=6, jump=1, derive=1), workers=7)
    assert max(job.end for job in jobs) == 6 + 5 + 6


def test_one_worker_does_everything_in_turn():
    cost = Cost(spans=3, span=6, jump=2, after=1, before=4)
    jobs = speed.schedule(cost, workers=1)
    assert [(job.start, job.end) for job in jobs] == [(0, 11), (11, 17), (17, 23), (23, 29)]
    assert speed.speedup(cost, workers=1) == (1 + 18 + 4) / 29
    saves = Cost(spans=3, span=6, own=4, jump=2, after=1, before=4)  # the jump takes the place of a product
    assert speed.speedup(saves, workers=1) == 1


def test_two_workers_share_the_spans():
    """The trunk until 6; the other worker takes the first span until 6; then one each until 12."""
    jobs = speed.schedule(Cost(spans=3, span=6, jump=2), workers=2)
    assert [(job.worker, job.start, job.end) for job in jobs] == [
        (0, 0, 6),
        (1, 0, 6),
        (0, 6, 12),
        (1, 6, 12),
    ]


def test_no_worker_does_two_things_at_a_time_and_no_span_comes_before_its_error():
    cost = Cost(spans=7, span=5, jump=1.5, derive=0.5, after=2, before=3)
    for workers in range(1, 9):
        jobs = speed.schedule(cost, workers)
        for number, job in enumerate(jobs[1:]):
            assert job.start >= 3.5 + 2 + number * 1.5
        for worker in range(workers):
            mine = sorted((job.start, job.end) for job in jobs if job.worker == worker)
            assert all(a[1] <= b[0] for a, b in pairwise(mine))


def test_layers_outside_the_spans_bound_the_gain():
    assert speed.speedup(Cost(spans=6, span=1, jump=0, after=6), workers=99) == pytest.approx(12 / 7)


def test_amdahl():
    assert speed.amdahl(2 / 3, 2) == pytest.approx(1.5)
    assert speed.amdahl(0.5, 1e9) == pytest.approx(2)
    assert speed.amdahl(0.7, 1) == pytest.approx(1)


def test_a_pipeline_fills_and_empties():
    assert speed.pipeline_speedup(stages=6, microbatches=1) == 1
    assert speed.pipeline_speedup(stages=2, microbatches=2) == pytest.approx(4 / 3)
    assert speed.pipeline_speedup(stages=6, microbatches=10_000) == pytest.approx(6, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: speed.thesis_speedup(0, 1, 1), "m = 0"),
        (lambda: Cost(spans=0, span=1), "spans is 0"),
        (lambda: Cost(spans=1, span=1, jump=-1), "jump is -1"),
        (lambda: speed.schedule(Cost(1, 1), 0), "workers is 0"),
        (lambda: speed.amdahl(2, 1), "share = 2"),
        (lambda: speed.pipeline_speedup(0, 1), "stages = 0"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
