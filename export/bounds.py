"""How far an exported file may be from its model."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What may differ: any output (`max_difference`), and the share of predictions (`max_changed`)."""

    max_difference: float
    max_changed: float


BOUNDS = {
    "fp32": Bounds(max_difference=1e-3, max_changed=0.005),
    "fp16": Bounds(max_difference=0.25, max_changed=0.01),
    # Logits of eight bits are coarse, and what matters is the prediction.
    "int8": Bounds(max_difference=1e6, max_changed=0.05),
}
"""What is allowed at each precision unless the user says otherwise."""
