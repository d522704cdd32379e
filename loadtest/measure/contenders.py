"""Who is compared: each policy of each model at each target that serves it."""

from collections.abc import Mapping, Sequence

from loadtest.case import Case
from loadtest.config import AS_SERVED, Subject
from loadtest.errors import ConfigError, NotServed, TargetError
from loadtest.generator.local import Clients
from loadtest.wire.clients import fetch_served
from loadtest.wire.served import ServedModel
from loadtest.wire.targets import Target

Served = Mapping[tuple[Target, str], ServedModel]


async def fetch_cases(clients: Clients, subject: Subject) -> tuple[Case, ...]:
    """TargetError where one is down, lacks what is asked for, or does not fit the others."""
    served = await _fetch_all(clients, subject)
    _check_alike(served)
    if subject.wire.output is not None and all(each.cascade for each in served.values()):
        raise ConfigError(
            f"--output {subject.wire.output}: {', '.join(subject.models)} has a label of its own"
        )
    chosen = _chosen(served, subject)
    return tuple(
        Case(
            target=target,
            served=served[target, model],
            policy=None if policy == AS_SERVED else policy,
            contender=_contender(policy, model, subject.models),
            over=_over(target, subject.targets),
        )
        for model in subject.models
        for policy in chosen[model]
        for target in subject.targets
        if (target, model) in served
    )


async def _fetch_all(clients: Clients, subject: Subject) -> dict[tuple[Target, str], ServedModel]:
    """With several targets and models not each target needs to serve each model, but each must serve one."""
    served: dict[tuple[Target, str], ServedModel] = {}
    failures: dict[tuple[Target, str], NotServed] = {}
    for key, client in clients.items():
        try:
            served[key] = await fetch_served(client)
        except NotServed as error:
            failures[key] = error
    for (target, model), failure in failures.items():
        is_spare = any(t == target for t, _ in served) and any(m == model for _, m in served)
        if not is_spare:
            raise failure
    return served


def _check_alike(served: Served) -> None:
    """The same rows go to all, and a model is the same wherever it is served."""
    (first_target, first_model), first = next(iter(served.items()))
    for (target, model), other in served.items():
        one = _first(served, model)
        if other != one:
            where = next(t for t, m in served if m == model)
            raise TargetError(f"{target.url} serves another {model!r} than {where.url}")
        if other.inputs != first.inputs:
            raise TargetError(
                f"{model!r} at {target.url} takes other inputs than {first_model!r} at {first_target.url}"
            )
        if other.num_classes and first.num_classes and other.num_classes != first.num_classes:
            raise TargetError(
                f"{model!r} has {other.num_classes} classes, {first_model!r} {first.num_classes}"
            )


def _first(served: Served, model: str) -> ServedModel:
    return next(value for (_, name), value in served.items() if name == model)


def _chosen(served: Served, subject: Subject) -> dict[str, tuple[str, ...]]:
    """Of each model the policies that are driven: those asked for that it has, all where none are asked for,
    and its own choice where it has none of them. TargetError where no model has one."""
    models = {model: _first(served, model) for model in subject.models}
    for policy in subject.policies:
        if policy != AS_SERVED and not any(policy in _known(model) for model in models.values()):
            cascades = [model for model in models.values() if model.cascade]
            names = ", ".join(dict.fromkeys(name for model in cascades for name in _known(model)))
            raise TargetError(
                f"{', '.join(map(repr, subject.models))} has no policy {policy!r}; "
                f"there are: {names or 'none'}, and {AS_SERVED} for what the server itself chooses"
            )
    return {name: _policies(model, subject.policies) for name, model in models.items()}


def _known(served: ServedModel) -> tuple[str, ...]:
    return () if served.cascade is None else tuple(served.cascade.policies)


def _policies(served: ServedModel, asked: Sequence[str]) -> tuple[str, ...]:
    if served.cascade is None:
        return (AS_SERVED,)
    known = (*_known(served), AS_SERVED)
    return tuple(name for name in asked if name in known) or (_known(served) if not asked else (AS_SERVED,))


def _contender(policy: str, model: str, models: Sequence[str]) -> str:
    if len(models) == 1:
        return policy
    return model if policy == AS_SERVED else f"{model}: {policy}"


def _over(target: Target, targets: Sequence[Target]) -> str:
    is_alone = sum(other.protocol == target.protocol for other in targets) == 1
    return target.protocol if is_alone else f"{target.protocol} {target.authority}"


def baseline(cases: Sequence[Case], asked: str | None) -> str:
    """The contender that others are compared with: the one asked for, else one that is told to run all
    members, else the first. What the server chooses itself may change under load, and is none."""
    if asked is not None:
        check_contender(cases, asked, "--baseline")
        return asked
    return next((case.contender for case in cases if case.runs_all), cases[0].contender)


def check_contender(cases: Sequence[Case], name: str, argument: str) -> None:
    """ConfigError where there is none of the name."""
    names = dict.fromkeys(case.contender for case in cases)
    if name not in names:
        raise ConfigError(f"{argument} {name!r} is no contender; there are: {', '.join(names)}")
