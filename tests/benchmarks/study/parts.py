"""Records as the parts of the study leave them, with figures to choose."""

from typing import Any

from benchmarks.study.contenders import CONTENDERS, FULL, SINGLE, UPWARDS, WINDOW
from benchmarks.study.figures import COSTS
from benchmarks.study.selections import ALIKE, ALONE, BEHIND_PLAIN
from benchmarks.study.sizes import (
    AS_PUBLISHED,
    ASKED_AGAIN,
    AWARE,
    CLEAN,
    LABELS,
    NONE,
    PUBLISHED,
    SELECTIONS,
    SIZES,
)
from benchmarks.study.strange import FAMILIES
from benchmarks.study.windows import ALL, CERTIFIED, FITS, OBJECTIVES

Record = dict[str, Any]

MODELS = ("small", "large")
SCALED = (
    *("coverage@5%risk", "risk@80%coverage", "accuracy", "aurc", "aurc near mixed", "aurc far mixed"),
    *(f"{figure} {name}" for figure in ("auroc", "fpr@95tpr") for name in FAMILIES),
)
OF_ARMS = (
    *("member accuracy", "member NLL", "accuracy", "NLL", "disagreement", "aurc"),
    *("coverage@5%risk", "window coverage@5%risk", "auroc cifar100", "auroc far"),
)


def estimated(value: float, half: float = 0.01) -> Record:
    return {"value": value, "low": value - half, "high": value + half}


def figures(value: float, names: tuple[str, ...] = SCALED) -> Record:
    return {name: estimated(value) | {"seeds": [value, value]} for name in names}


def made_parts() -> dict[str, Record]:
    """A window gains 4 points on a single and 1 on singles of equal multiply-adds; hard-batch loses 2."""
    return {"scaling": scaling(), "selections": selections(), "windows": windows(), "served": served()}


def scaling() -> Record:
    values = {SINGLE.name: 0.50, FULL.name: 0.55, WINDOW.name: 0.54}
    judged = [
        {
            "model": model,
            "contender": contender.name,
            "stage_models": [model] * contender.num_stages,
            "reach": [1.0] * contender.num_stages,
            "macs": dict.fromkeys(COSTS, 1e6 * (place + 1) * contender.num_stages),
            "cpu_ms": dict.fromkeys(COSTS, 0.1 * (place + 1) * contender.num_stages),
            "figures": figures(values.get(contender.name, 0.52)),
        }
        for place, model in enumerate(MODELS)
        for contender in (*CONTENDERS, *((UPWARDS,) if place == 0 else ()))
    ]
    differences = [
        {
            "model": model,
            "contender": name,
            "against_model": against_model,
            "against": SINGLE.name,
            "macs_ratio": 0.6,
            "cpu_ms_ratio": 0.7,
            "figures": figures(change),
        }
        for name, change in ((FULL.name, 0.05), (WINDOW.name, 0.04), ("window of 3", 0.04))
        for model, against_model in (("small", "small"), ("large", "large"), ("small", "large"))
    ]
    at_equal_cost = [
        {"model": "small", "contender": name, "unit": unit, "figures": figures(change)}
        for name in (FULL.name, WINDOW.name, UPWARDS.name)
        for unit, change in (("macs", 0.02), ("cpu_ms", -0.02))
    ]
    kept = estimated(0.9, 0.05) | {"models": {"small": 0.8}}
    return {
        "fronts": {"macs": list(MODELS), "cpu_ms": list(MODELS)},
        "judged": judged,
        "differences": differences,
        "at_equal_cost": at_equal_cost,
        "kept": {"coverage@5%risk": kept, "accuracy": kept, "auroc cifar100": None},
    }


def selections() -> Record:
    return {
        "arms": [
            _arm(labels, selection, ensemble)
            for labels in LABELS
            for selection in SELECTIONS
            for ensemble in (ALIKE, BEHIND_PLAIN)
            if (selection, ensemble) not in ((AWARE, ALIKE), (NONE, BEHIND_PLAIN))
        ],
        "published": [_arm(PUBLISHED, selection, ALONE) for selection in AS_PUBLISHED],
        "fresh": [_arm(CLEAN, selection, BEHIND_PLAIN) for selection in ASKED_AGAIN],
    }


def _arm(labels: str, selection: str, ensemble: str) -> Record:
    return {
        "labels": labels,
        "selection": selection,
        "ensemble": ensemble,
        "updates_to_target": None if labels == "noisy" else 1000 + 10 * len(selection),
        "reached": [0, 4] if labels == "noisy" else [4, 4],
        "updates_per_epoch": 100,
        "spent": {
            "updates": 1560,
            "samples_forward": 1e5,
            "samples_backward": 1e5,
            "seconds": 60.0,
            "overlap": None if selection == "none" else 0.5,
        },
        "figures": {name: record | {"seeds": [0.5, 0.5]} for name, record in figures(0.5, OF_ARMS).items()},
        **{
            against: {name: estimated(-0.02 if selection == "hard-batch" else 0.0) for name in OF_ARMS}
            for against in ("against_plain", "against_random")
        },
    }


def windows() -> Record:
    return {
        "cells": [
            {
                "model": model,
                "objective": objective,
                "budget": budget,
                "values": {name: estimated(0.5) for name in FITS},
                "oracle": 0.6,
                "gains": {
                    "paper over threshold": estimated(0.03),
                    "ours over threshold": estimated(0.03),
                    "ours over paper": estimated(0.0),
                },
                "share_of_gap": {"threshold": 0.1, "paper": 0.4, "ours": None},
                "costs": dict.fromkeys(FITS, 1.2),
                "deployed": {
                    name: {"coverage": 0.5, "risk": 0.05, "exceeded": 3, "pairs": 6} for name in FITS
                },
                "certified": {
                    name: {"coverage": 0.45, "risk": 0.04, "exceeded": 1, "pairs": 6} for name in CERTIFIED
                }
                if objective == OBJECTIVES[0]
                else {},
            }
            for objective in OBJECTIVES
            for budget in SIZES["full"].budgets
            for model in (ALL, *MODELS)
        ]
    }


def served() -> Record:
    cases = [
        {
            "cascade": cascade,
            "policy": policy,
            "coverage": estimated(0.5),
            "risk": estimated(0.05),
            "accuracy": estimated(0.7),
            "exits": [0.8, 0.2],
            "cost": cost,
            "macs": 1e6 * cost,
            "rows_per_s": 1000 / cost,
            "cpu_ms": cost * 1.05,
            "cpu_ms_alone": cost * 1.4,
            "cpu_ratio": cost * 1.05,
            "cpu_alone_ratio": cost * 1.4,
            "p50_ms": 2.0,
            "p99_ms": 5.0,
            "stage_models": stage_models,
        }
        for cascade, stage_models in (
            ("small", ["small", "small"]),
            ("large", ["large", "large"]),
            ("large-int8", ["large:int8", "large"]),
        )
        for policy, cost in (("first", 1.0), ("threshold", 1.2), ("window", 1.2), ("full", 2.0))
    ]
    return {
        "machine": {},
        "is_valid": False,
        "obstacle": "the generator was late",
        "rate": 100,
        "cases": cases,
    }
