"""The traffic that was sent, in words. Pure."""

from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import RAMP


def load_in_words(load: LoadConfig) -> str:
    """`200 requests/s of 1 row, Poisson arrivals, 30 s each`."""
    rows = "1 row" if str(load.rows_per_request) == "1" else f"{load.rows_per_request} rows"
    hard = f"; {dial_in_words(load)}" if load.is_dialled else ""
    if load.trace is not None:
        return f"the arrivals of {load.trace.name}, {rows} a request{hard}"
    return f"{rate_in_words(load)} of {rows}, {_arrivals(load)}, {load.duration_s:g} s each{hard}"


def rate_in_words(load: LoadConfig) -> str:
    if load.trace is not None:
        return "the rate of the trace"
    rate = load.rate
    if rate.is_constant:
        return f"{rate.mean:g} requests/s"
    parts = [part.strip().replace(RAMP, " to ") for part in rate.text.split(",")]
    kind = "a ramp of" if len(parts) == 1 else "equal spells of"
    return f"{kind} {', then '.join(parts)} requests/s ({rate.mean:.4g} on average)"


def _arrivals(load: LoadConfig) -> str:
    return {
        "poisson": "Poisson arrivals",
        "constant": "evenly spaced arrivals",
        "gamma": f"bursty arrivals (gamma gaps, coefficient of variation {load.burstiness:g})",
    }[load.arrivals]


def dial_in_words(load: LoadConfig) -> str:
    """Empty where rows are sent as the samples have them."""
    parts = []
    if load.hard_share is not None:
        parts.append(f"{load.hard_share * 100:g}% of the rows hard")
    if load.hard_bursts is not None:
        bursts = load.hard_bursts
        parts.append(f"every row hard in the last {bursts.on_s:g} of every {bursts.period_s:g} s")
    return " and ".join(parts)


def difficulty_in_words(load: LoadConfig) -> str:
    """Empty where rows are sent as the samples have them."""
    if not load.is_dialled:
        return ""
    return f"{dial_in_words(load)}; hard is the quarter of rows of which the first stage is least sure"
