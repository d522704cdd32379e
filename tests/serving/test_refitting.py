"""Windows laid again over what a server has seen, and back again, over HTTP."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton_http

from cascade.cascade_file import read_cascade, write_cascade
from cascade.fitting.refit import relaid
from cascade.policy import Policy
from cascade.replay import replay
from cascade.versions import kept_file, kept_versions
from serving.errors import InvalidRequest
from serving.refitting import Refit
from tests.repositories import Repository, make_repository
from tests.servers import Server, serving
from tests.serving.raw_http import post

REFIT = "/v2/repository/models/digits/refit"
ROLLBACK = "/v2/repository/models/digits/rollback"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Of its own for each test, for they change it."""
    return make_repository(tmp_path / "repository")


@pytest.fixture
def server(repository: Repository) -> Iterator[Server]:
    with serving(repository.path, "--allow-model-control", "--reload-seconds", "0") as running:
        yield running


def ask(server: Server, path: str, **wanted: Any) -> tuple[int, Any]:
    return post(server, json.dumps(wanted).encode(), path)


def infer(server: Server, repository: Repository, policy: str = "window") -> Any:
    image = repository.test.image
    tensor = triton_http.InferInput("image", list(image.shape), "UINT8")
    tensor.set_data_from_numpy(image)
    with triton_http.InferenceServerClient(server.http) as client:
        return client.infer("digits", [tensor], parameters={"policy": policy})


def version_of(answer: Any) -> str:
    return str(answer.get_response()["parameters"]["cascade_version"])


def on_the_test_rows(repository: Repository, policy: Policy) -> Policy:
    """What `relaid` makes of the scores of a replay."""
    played = replay(policy, repository.cascade.stages, repository.scores)
    scores = [played.stage_scores[stage, played.reached(stage)] for stage in range(policy.num_stages - 1)]
    return relaid(policy, scores, repository.cascade.stage_macs)


@pytest.mark.parametrize("policy", ["window", "threshold"])
def test_a_policy_is_laid_on_what_was_seen_and_rows_are_answered_by_it(
    policy: str, server: Server, repository: Repository
) -> None:
    infer(server, repository, policy)
    old = repository.cascade.policies[policy]
    new = on_the_test_rows(repository, old)
    assert (new.windows, new.thresholds) != (old.windows, old.thresholds)
    status, told = ask(server, REFIT, policy=policy)
    assert (status, told["name"], told["version"], told["policy"]) == (200, "digits", 2, policy)
    written = read_cascade(repository.file)
    assert written == repository.cascade.with_policy(policy, new)
    assert told["after"]["cost"] == pytest.approx(new.evidence["refitted"]["cost"])
    assert told["after"]["forwarded"] == pytest.approx(new.known_forwarded)
    played = replay(old, repository.cascade.stages, repository.scores)
    assert told["rows"] == [int(played.reached(stage).sum()) for stage in range(2)]
    assert told["before"]["forwarded"] == pytest.approx([played.reached(stage).mean() for stage in (1, 2)])
    answer = infer(server, repository, policy)
    assert version_of(answer) == "2"
    expected = replay(new, repository.cascade.stages, repository.scores)
    np.testing.assert_array_equal(answer.as_numpy("exit_stage"), expected.exit_stage)


def test_a_dry_run_changes_nothing(server: Server, repository: Repository) -> None:
    infer(server, repository)
    before = repository.file.read_bytes()
    status, dry = ask(server, REFIT, dry_run=True)
    assert (status, dry["version"], dry["policy"]) == (200, 1, "window")
    assert (repository.file.read_bytes(), kept_versions(repository.file)) == (before, [])
    _, told = ask(server, REFIT)
    assert told == dry | {"version": 2}


def test_back_to_the_version_before_and_back_again(server: Server, repository: Repository) -> None:
    infer(server, repository)
    ask(server, REFIT)
    refitted = read_cascade(repository.file)
    assert ask(server, ROLLBACK) == (200, {"name": "digits", "version": 3})
    assert read_cascade(repository.file) == replace(repository.cascade, version=3)
    answer = infer(server, repository)
    assert version_of(answer) == "3"
    expected = replay(repository.cascade.policies["window"], repository.cascade.stages, repository.scores)
    np.testing.assert_array_equal(answer.as_numpy("exit_stage"), expected.exit_stage)
    assert ask(server, ROLLBACK, version=2) == (200, {"name": "digits", "version": 4})
    assert read_cascade(repository.file) == replace(refitted, version=4)


def test_a_file_that_is_not_what_is_served_is_left_alone(server: Server, repository: Repository) -> None:
    infer(server, repository)
    write_cascade(repository.file, replace(repository.cascade, provenance={"by": "hand"}))
    before = repository.file.read_bytes()
    for path in (REFIT, ROLLBACK):
        status, said = ask(server, path, **({} if path == REFIT else {"version": 1}))
        assert (status, "is not what is served" in said["error"]) == (400, True)
    assert repository.file.read_bytes() == before


def test_a_kept_file_that_is_bad_tells_no_path(server: Server, repository: Repository) -> None:
    kept_file(repository.file, 7).write_text("{")
    status, said = ask(server, ROLLBACK, version=7)
    assert status == 400
    assert said["error"] == "the cascade cannot be loaded; the server's log says why"
    assert read_cascade(repository.file) == repository.cascade


def test_a_repository_that_cannot_be_written_leaves_all_as_it_was(
    server: Server, repository: Repository
) -> None:
    """A folder lies where the version would be kept."""
    infer(server, repository)
    kept_file(repository.file, 1).mkdir()
    status, said = ask(server, REFIT)
    assert (status, "cannot write to its repository" in said["error"]) == (503, True)
    assert read_cascade(repository.file) == repository.cascade
    assert version_of(infer(server, repository)) == "1"


@pytest.mark.parametrize(
    ("path", "wanted", "status", "message"),
    [
        (
            REFIT,
            {},
            400,
            "policy 'window': 0 rows were seen since this version was loaded, and 500 are needed",
        ),
        (REFIT, {"policy": "full"}, 400, "a policy of kind 'full' without placements cannot be refitted"),
        (REFIT, {"policy": "nope"}, 404, "model 'digits' has no policy 'nope'"),
        (REFIT, {"policy": 1}, 400, "refit: 'policy' must be a text"),
        (REFIT, {"dry_run": 1}, 400, "refit: 'dry_run' must be true or false"),
        (REFIT, {"dry": True}, 400, "refit takes 'policy' and 'dry_run', not 'dry'"),
        (REFIT.replace("digits", "nope"), {}, 404, "unknown model 'nope'"),
        (REFIT.replace("digits", "digits-0"), {}, 400, "'digits-0' is a member, and no cascade"),
        (ROLLBACK, {}, 400, "version 0 of 'digits' was not kept; none is"),
        (ROLLBACK, {"version": True}, 400, "rollback: 'version' must be a whole number"),
        (ROLLBACK.replace("digits", "nope"), {}, 404, "unknown model 'nope'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    path: str, wanted: dict[str, Any], status: int, message: str, control: Server
) -> None:
    code, said = ask(control, path, **wanted)
    assert code == status
    assert message in said["error"]


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that has seen nothing, and changes nothing."""
    made = make_repository(tmp_path_factory.mktemp("refused"))
    with serving(made.path, "--allow-model-control") as running:
        yield running


def test_it_is_refused_unless_it_is_allowed(repository: Repository) -> None:
    with serving(repository.path) as closed:
        for path, verb in ((REFIT, "refit"), (ROLLBACK, "roll back")):
            status, said = ask(closed, path)
            assert status == 501
            assert said["error"] == f"this server does not {verb} models; --allow-model-control allows it"


def test_gears_that_would_be_out_of_order_are_refused(repository: Repository) -> None:
    """Both are the same policy, whatever their evidence says, and cost about twice the first stage."""
    window = repository.cascade.policies["window"]
    dear, cheap = (replace(window, evidence={**window.evidence, "cost": cost}) for cost in (1.5, 1.1))
    policies = {**repository.cascade.policies, "window": dear, "cheap": cheap}
    write_cascade(repository.file, replace(repository.cascade, policies=policies, gears=("window", "cheap")))
    before = repository.file.read_bytes()
    with serving(repository.path, "--allow-model-control") as running:
        infer(running, repository, "cheap")
        status, said = ask(running, REFIT, policy="cheap")
        assert ask(running, REFIT, policy="cheap", dry_run=True) == (status, said)
    assert status == 400
    assert "gears go from the dearest to the cheapest" in said["error"]
    assert repository.file.read_bytes() == before


def test_a_cascade_that_was_changed_meanwhile_is_left_alone(repository: Repository) -> None:
    cascade = repository.cascade
    scores = tuple(np.linspace(0, 1, 600) for _ in range(2))
    new = relaid(cascade.policies["window"], scores, cascade.stage_macs)
    refit = Refit(cascade, "window", scores, cascade.stage_macs, new)
    assert refit.apply(cascade).policies["window"] == new
    with pytest.raises(InvalidRequest, match="'digits' was changed meanwhile; ask again"):
        refit.apply(replace(cascade, version=2))
