"""What a policy may cost per row: `1.2x` (of stage 1), `0.6full` (of all stages), `3e6macs`."""

import re
from collections.abc import Sequence

from cascade.errors import FitError

_FORM = re.compile(r"(?P<value>[0-9.]+(?:e[+-]?[0-9]+)?)(?P<unit>x|full|macs)")


def parse_budget(text: str, stage_macs: Sequence[float]) -> float:
    """The budget in MACs per row. FitError where stage 1 alone costs more."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise FitError(f"budget {text!r} is not of the form 1.2x, 0.6full or 3e6macs")
    try:
        value = float(form["value"])
    except ValueError:
        raise FitError(f"budget {text!r}: {form['value']!r} is no number") from None
    unit = {"x": stage_macs[0], "full": sum(stage_macs), "macs": 1.0}[form["unit"]]
    budget = value * unit
    if budget < stage_macs[0]:
        raise FitError(
            f"budget {text!r} is below the cost of stage 1, which every row runs ({stage_macs[0]:g} MACs)"
        )
    return budget
