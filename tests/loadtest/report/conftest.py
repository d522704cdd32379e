from dataclasses import replace

import numpy as np
import pytest

from loadtest.figures.results import Results
from loadtest.figures.statistics import GeneratorCheck
from loadtest.report.circumstances import Circumstances, Machine
from tests.loadtest.tiny_campaign import results_of, rows
from tests.loadtest.tiny_server import tiny_server

KEPT_UP = GeneratorCheck(lag_p99_ms=0.25, cpu_share=0.1)
AROUND = Circumstances(
    command="python -m loadtest",
    started="2026-01-02T03:04:05+00:00",
    machine=Machine(cpu="c", num_cores=2, system="s", python="3"),
)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """All policies of `tiny` over both protocols."""
    folder = tmp_path_factory.mktemp("campaign")
    strange = np.stack([np.linspace(-3.0, 2.0, 10), np.zeros(10)], axis=1).astype(np.float32)
    with tiny_server() as server:
        return results_of(server, folder, ood=rows(folder, "ood.npz", x=strange))


@pytest.fixture
def results(measured: Results) -> Results:
    """As if the generator had kept up, whatever a busy machine made of it."""
    return checked(measured, KEPT_UP)


@pytest.fixture
def invalid(measured: Results) -> Results:
    return checked(measured, GeneratorCheck(lag_p99_ms=5.0, cpu_share=0.95))


def checked(results: Results, check: GeneratorCheck) -> Results:
    """Capacity too as if the generator had had a core of its own."""
    cases = tuple(
        replace(
            case,
            load=replace(case.load, generator=check),
            capacity=None if case.capacity is None else replace(case.capacity, generator_cpu_share=0.5),
        )
        for case in results.cases
    )
    return replace(results, cases=cases)


@pytest.fixture
def around() -> Circumstances:
    return AROUND
