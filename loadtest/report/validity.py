"""Whether the generator measured the server or itself, and what to do about it. Pure."""

from loadtest.figures.results import CaseResult, Results
from loadtest.figures.statistics import CPU_LIMIT, LAG_LIMIT_MS
from loadtest.report.wording import percent

LIMITS = f"limits: {LAG_LIMIT_MS:g} ms, {percent(CPU_LIMIT, 0)} of a core"


def invalid_cases(results: Results) -> list[CaseResult]:
    return [case for case in results.cases if not case.load.generator.is_valid]


def explanation(results: Results) -> str:
    """Why a run is invalid; empty where it is not."""
    invalid = invalid_cases(results)
    if not invalid:
        return ""
    late = max(invalid, key=lambda case: case.load.generator.lag_p99_ms)
    busy = max(invalid, key=lambda case: case.load.generator.cpu_share)
    where = invalid[0].name if len(results.cases) == 1 else f"{len(invalid)} of {len(results.cases)} cases"
    return (
        f"the generator did not keep up in {where}, so that latencies may be its own rather than the "
        f"server's: p99 of its lag up to {late.load.generator.lag_p99_ms:.2f} ms ({late.name}), CPU up to "
        f"{percent(busy.load.generator.cpu_share, 0)} ({busy.name}); {LIMITS}"
    )


def confirmation(results: Results) -> str:
    """Of a valid run."""
    checks = [case.load.generator for case in results.cases]
    lag_ms, share = max(check.lag_p99_ms for check in checks), max(check.cpu_share for check in checks)
    kept_up = f"p99 of its lag at most {lag_ms:.2f} ms, CPU at most {percent(share, 0)}"
    return f"the generator kept up: {kept_up} ({LIMITS})"


def remedies(results: Results) -> list[str]:
    """Those that may help, the likeliest first."""
    generation, load = results.campaign.config.generation, results.campaign.config.load
    is_busy = any(c.load.generator.cpu_share > CPU_LIMIT for c in invalid_cases(results))
    rate = "a lower --rate"
    processes = f"--processes {generation.processes * 2} (now {generation.processes})"
    elsewhere = "another machine, or cores of its own, for the generator"
    rows = f"the same rows in fewer requests: a larger --rows-per-request (now {load.rows_per_request})"
    return [processes, rate, rows, elsewhere] if is_busy else [elsewhere, rate, rows, processes]
