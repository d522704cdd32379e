"""What a search found, in words. Pure."""

from collections.abc import Sequence

from loadtest.figures.probe import Found, Goal, Probe
from loadtest.report.wording import NONE, multiple, per_second

NOT_FOUND = "none"


def at_found(found: Found) -> Probe | None:
    """The last probe at the rate that was found."""
    probes = [probe for probe in found.probes if probe.rate == found.rate and probe.is_good]
    return probes[-1] if probes else None


def rate_text(found: Found) -> str:
    """Marked where the generator set the limit."""
    if found.rate is None:
        return NOT_FOUND
    mark = "*" if found.is_generator_limited else "" if found.failed_rate is not None else "+"
    return per_second(found.rate) + mark


def lead(found: Sequence[Found], goal: Goal) -> str:
    """The fastest beside the slowest that was found."""
    held = sorted((each for each in found if each.rate is not None), key=lambda each: -(each.rate or 0))
    if not held:
        return f"No rate was found at which {goal} holds."
    best, least = held[0], held[-1]
    assert best.rate is not None
    assert least.rate is not None
    text = f"{best.case.name} holds up to {rate_text(best)} requests/s"
    if best is not least and not (best.is_generator_limited or least.is_generator_limited):
        ratio = multiple(best.rate / least.rate)
        text += f", {ratio} the {per_second(least.rate)} requests/s of {least.case.name}"
    return f"{text}; to hold is {goal}."


def failed_text(found: Found) -> str:
    if found.failed_rate is None:
        return NONE
    return f"{per_second(found.failed_rate)}" + ("*" if found.failed_by_generator else "")


def warnings(found: Sequence[Found]) -> list[str]:
    """What a reader must know of the rates."""
    texts = []
    limited = [each.case.name for each in found if each.is_generator_limited]
    if limited:
        texts.append(
            "* a rate was given up since the generator could not make it, and the server may bear more: "
            + ", ".join(limited)
            + "; more --processes, or cores of its own, help"
        )
    if any(each.rate is not None and each.failed_rate is None for each in found):
        texts.append(
            "+ the search ended at its highest rate, and none failed; a higher --most-rate tells more"
        )
    return texts
