"""Simulations need libngspice: without it their tests are skipped, or fail where CI says it must be."""

import os

import pytest

from neurogain.circuits import ngspice


@pytest.fixture(scope="session")
def simulator():
    """Ask for this to say that a test simulates."""
    if problem := ngspice.missing():
        if os.environ.get("CI"):
            pytest.fail(f"CI is set, and {problem}")
        pytest.skip(problem)
