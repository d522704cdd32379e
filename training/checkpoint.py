"""A training between two updates, as one file from which it goes on bit for bit.

`checkpoint.safetensors` holds tensors (weights, the best weights so far, the optimiser's state, the plan with
its loss table, the states of torch's generators) and, in its header, JSON for all that is no tensor.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training.atomic import replacing
from training.budget import Spent
from training.errors import CheckpointError
from training.loop import State
from training.plan import Snapshot
from training.records import EpochRecord, Tally
from training.team import Team

FORMAT_VERSION = 1
NAME = "checkpoint.safetensors"
HEADER = "training"

Tensors = dict[str, Tensor]
Document = dict[str, Any]


def write_checkpoint(folder: Path, state: State, team: Team, *, logs: Mapping[str, int]) -> None:
    """All processes take part, the first writes. `logs` are the lengths of log files in bytes.

    Raises CheckpointError where it can't be written; the one before is then as it was.
    """
    generators = team.gather(_generator_states())
    if not team.is_first:
        return
    tensors, document = _take_out(state)
    tensors |= {f"generators.{rank}": part for rank, part in enumerate(generators)}
    document |= {"format_version": FORMAT_VERSION, "logs": dict(logs), "processes": team.size}
    header = {HEADER: json.dumps(document, allow_nan=False)}
    # Copied: safetensors refuses tensors that share memory, as tied weights do, and views of one array.
    apart = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    try:
        with replacing(folder / NAME) as file:
            file.write(save(apart, header))
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint at update {state.spent.updates} can't be written to {folder}: {error}; "
            f"{what_is_left(folder)}"
        ) from error


def read_checkpoint(folder: Path, state: State, team: Team) -> dict[str, int] | None:
    """Puts back what the folder's checkpoint holds, if it has one; returns the lengths of its log files."""
    path = folder / NAME
    if not path.exists():
        return None
    tensors, document = _read(path)
    if document["processes"] != team.size:
        raise CheckpointError(
            f"{path} is by {document['processes']} processes, and {team.size} would go on with it: "
            "the rounding would differ"
        )
    try:
        _put_back(state, tensors, document)
        _put_generators_back(tensors[f"generators.{team.rank}"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit this member: {_line(error)}") from error
    return dict(document["logs"])


def remove_checkpoint(folder: Path) -> None:
    (folder / NAME).unlink(missing_ok=True)


def what_is_left(folder: Path) -> str:
    """For whom a write has failed."""
    try:
        _, document = _read(folder / NAME)
    except CheckpointError:
        return "there is no checkpoint before it"
    return f"the checkpoint at update {document['spent']['updates']} is whole, and --resume goes on from it"


def _take_out(state: State) -> tuple[Tensors, Document]:
    plan, optimizer = state.plan.take_out(), state.stepper.optimizer.state_dict()["state"]
    tensors = {
        **_under("model", state.model.state_dict()),
        **_under("best", state.best),
        **_under("plan", {name: torch.from_numpy(array) for name, array in plan.arrays.items()}),
        "augmenting": state.augmenting.get_state(),
        "visits_before": torch.from_numpy(state.tally.visits_before),
    }
    for number, values in optimizer.items():
        tensors |= _under(f"optimizer.{number}", {k: v for k, v in values.items() if v is not None})
    document = {
        "spent": asdict(state.spent),
        "records": [asdict(record) for record in state.records],
        "tally": state.tally.document(),
        "plan": plan.document,
        "scaler": state.stepper.scaler.state_dict(),
    }
    return {name: tensor.detach().cpu() for name, tensor in tensors.items()}, document


def _put_back(state: State, tensors: Tensors, document: Document) -> None:
    device = next(state.model.parameters()).device
    state.model.load_state_dict(_of("model", tensors))
    state.best = {name: tensor.to(device) for name, tensor in _of("best", tensors).items()}
    arrays = {name: tensor.numpy() for name, tensor in _of("plan", tensors).items()}
    state.plan.put_back(Snapshot(arrays=arrays, document=document["plan"]))
    state.augmenting.set_state(tensors["augmenting"])
    state.tally = Tally.from_document(document["tally"], tensors["visits_before"].numpy())
    state.spent = Spent(**document["spent"])
    state.records = [EpochRecord(**record) for record in document["records"]]
    state.stepper.scaler.load_state_dict(document["scaler"])
    _put_optimizer_back(state.stepper.optimizer, _of("optimizer", tensors))


def _put_optimizer_back(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    states: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        states.setdefault(int(number), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if value.shape == parameter.shape:
                # In the parameter's layout, as it was: another may be added up by other instructions.
                values[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _generator_states() -> Tensor:
    """Torch's global generators of this process, the CPU's first."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_available():
        states.append(torch.cuda.get_rng_state())
    return torch.cat(states)


def _put_generators_back(states: Tensor) -> None:
    cpu_size = len(torch.get_rng_state())
    torch.set_rng_state(states[:cpu_size])
    if torch.cuda.is_available() and len(states) > cpu_size:
        torch.cuda.set_rng_state(states[cpu_size:])


def _read(path: Path) -> tuple[Tensors, Document]:
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads(file.metadata()[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = document.get("format_version")
    except (OSError, RuntimeError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is no checkpoint: {_line(error)}") from error
    if found != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format_version {found!r}; known is {FORMAT_VERSION}")
    return tensors, document


def _under(prefix: str, values: Mapping[str, Any]) -> Tensors:
    return {f"{prefix}.{name}": torch.as_tensor(value) for name, value in values.items()}


def _of(prefix: str, tensors: Tensors) -> Tensors:
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
