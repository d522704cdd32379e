import copy
import os
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tests.training.tiny import nursery
from training.batchnorm import SynchronisedBatchNorm, convert_batchnorm
from training.errors import ModelError

SHARES = (slice(0, 6), slice(6, 10))
TIMEOUT = timedelta(seconds=60)


def make_net():
    """Layers of momentum 0.1, 0.3 and None, one with an activation and one without weights."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 5, 3),
        BatchNormAct2d(5, momentum=0.3, act_layer=nn.SiLU),
        nn.Conv2d(5, 2, 1),
        nn.BatchNorm2d(2, affine=False),
        nn.Flatten(),
        nn.Linear(2 * 3 * 3, 4),
        nn.BatchNorm1d(4, momentum=None),
    )


def make_batches():
    """Two of ten images, and what weighs each logit in the loss."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 10, 3, 7, 7, generator=generator) + torch.arange(3)[:, None, None]
    return images.requires_grad_(), torch.randn(10, 4, generator=generator)


def make_far_rows():
    return 1000 + torch.randn(10, 3, 8, generator=torch.Generator().manual_seed(2))


def train_two_steps(net, images, weights):
    """Outputs of both steps, and the gradients of the summed losses."""
    outputs = [net(batch) for batch in images]
    sum((output * weights).sum() for output in outputs).backward()
    return torch.stack(outputs).detach()


def results_of(net, images, weights):
    return {
        "outputs": train_two_steps(net, images, weights),
        "gradients": {name: parameter.grad for name, parameter in net.named_parameters()},
        "buffers": dict(net.named_buffers()),
        "input gradient": images.grad,
        "eval": net.eval()(images[0]).detach(),
    }


def train_one_rank(rank, folder):
    # Only the loopback is there for certain.
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    meeting = {"init_method": f"file://{folder}/meeting", "timeout": TIMEOUT}
    dist.init_process_group("gloo", rank=rank, world_size=2, **meeting)
    try:
        save(everything_of_one_rank(rank), folder / f"rank-{rank}.safetensors")
    finally:
        dist.destroy_process_group()


def save(results, path):
    """Tensors, tensors by name, and a text."""
    tensors, texts = {}, {}
    for key, value in results.items():
        if isinstance(value, str):
            texts[key] = value
        else:
            named = value.items() if isinstance(value, dict) else [("", value)]
            tensors |= {f"{key}/{name}": tensor.detach().clone() for name, tensor in named}
    save_file(tensors, path, texts)


def load(path):
    with safe_open(path, "pt") as file:
        results = dict(file.metadata() or {})
        for place in file.keys():  # noqa: SIM118 (it is no dict)
            key, _, name = place.partition("/")
            if name:
                results.setdefault(key, {})[name] = file.get_tensor(place)
            else:
                results[key] = file.get_tensor(place)
    return results


def everything_of_one_rank(rank):
    images, weights = make_batches()
    mine, weights = images.detach()[:, SHARES[rank]].requires_grad_(), weights[SHARES[rank]]
    parallel = DistributedDataParallel(convert_batchnorm(make_net()))
    train_two_steps(parallel, mine.detach(), weights)
    untracked = convert_batchnorm(nn.BatchNorm1d(3, affine=False, track_running_stats=False))
    lonely = convert_batchnorm(nn.BatchNorm1d(3, dtype=torch.float64))
    return results_of(convert_batchnorm(make_net()), mine, weights) | {
        "averaged gradients": {name: tensor.grad for name, tensor in parallel.module.named_parameters()},
        "no rows": lonely(torch.arange(6.0, dtype=torch.float64).reshape(2, 3)[: 2 * rank]).detach(),
        "one row": error_of(lonely, torch.ones(rank, 3, dtype=torch.float64)),
        "alone in a group": alone_in_a_group(rank),
        "far": untracked(make_far_rows()[SHARES[rank]]),
        "double": weight_gradient(
            convert_batchnorm(nn.BatchNorm1d(3, dtype=torch.float64)), mine[0, ..., 0].detach().double()
        ),
        "half": convert_batchnorm(nn.BatchNorm1d(3))(make_far_rows()[SHARES[rank]].bfloat16()).detach(),
    }


def error_of(layer, rows):
    try:
        layer(rows)
    except ValueError as error:
        return str(error)


def weight_gradient(layer, rows):
    rows = rows.clone().requires_grad_()
    (layer(rows) * rows.detach()).sum().backward()
    return layer.weight.grad


def alone_in_a_group(rank):
    groups = [dist.new_group([member]) for member in range(2)]
    layer = convert_batchnorm(nn.BatchNorm1d(1), groups[rank])
    return layer(torch.tensor([[0.0], [rank + 1.0]])).detach()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two processes saw, of a batch of 10 rows divided into 6 and 4."""
    folder = tmp_path_factory.mktemp("ranks")
    processes = [nursery().fork(train_one_rank, rank, folder) for rank in range(2)]
    assert [nursery().wait(process) for process in processes] == [0, 0]
    return [load(folder / f"rank-{rank}.safetensors") for rank in range(2)]


@pytest.fixture(scope="module")
def whole():
    return results_of(make_net(), *make_batches())


def assert_close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def summed(ranks, key):
    first, second = (rank[key] for rank in ranks)
    return {name: first[name] + second[name] for name in first}


@pytest.mark.parametrize("key", ["outputs", "eval", "input gradient"])
def test_rows_are_as_in_one_process(ranks, whole, key):
    rows = 0 if key == "eval" else 1
    assert_close(torch.cat([rank[key] for rank in ranks], dim=rows), whole[key])


def test_gradients_add_up_to_the_whole_batch(ranks, whole):
    assert_close(summed(ranks, "gradients"), whole["gradients"])


def test_gradients_averaged_by_torch_are_half_of_it(ranks, whole):
    for rank in ranks:
        assert_close(
            {name: 2 * grad for name, grad in rank["averaged gradients"].items()}, whole["gradients"]
        )


def test_running_statistics_are_of_the_whole_batch_on_each_rank(ranks, whole):
    for rank in ranks:
        assert_close(rank["buffers"], whole["buffers"])
    assert int(whole["buffers"]["1.num_batches_tracked"]) == 2


def test_a_large_mean_costs_no_digits(ranks):
    expected = nn.BatchNorm1d(3, dtype=torch.float64)(make_far_rows().double())
    actual = torch.cat([rank["far"] for rank in ranks])
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=2e-4)


def test_gradients_in_double_precision_add_up_to_the_whole_batch(ranks):
    rows = make_batches()[0][0, ..., 0].detach().double()
    expected = weight_gradient(nn.BatchNorm1d(3, dtype=torch.float64), rows)
    torch.testing.assert_close(sum(rank["double"] for rank in ranks), expected, rtol=1e-12, atol=1e-12)


def test_rows_in_half_precision_have_statistics_in_full(ranks):
    expected = nn.BatchNorm1d(3)(make_far_rows().bfloat16())
    torch.testing.assert_close(torch.cat([rank["half"] for rank in ranks]), expected)


def test_a_rank_may_have_no_rows(ranks):
    empty, full = (rank["no rows"] for rank in ranks)
    assert tuple(empty.shape) == (0, 3)
    # 0 and 3, 1 and 4, 2 and 5: 1.5 to each side of their mean.
    expected = 1.5 / (1.5**2 + 1e-5) ** 0.5
    assert_close(full, torch.tensor([[-expected] * 3, [expected] * 3], dtype=torch.float64))


def test_one_row_over_all_ranks_has_no_variance(ranks):
    for rank in ranks:
        assert "more than 1 value per channel when training, got 1 over all ranks" in rank["one row"]


def test_only_the_ranks_of_the_group_count(ranks):
    for rank in ranks:
        assert_close(rank["alone in a group"], torch.tensor([[-1.0], [1.0]]).mul(1 / (1 + 4e-5) ** 0.5))


def test_sums_are_taken_over_the_given_group(monkeypatch):
    """As though another rank held the same rows: every sum doubles, and the outputs stay."""
    asked = []

    def all_reduce(tensor, group):
        asked.append(group)
        tensor.mul_(2)

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda group: {"ours": 2}[group])
    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    rows = make_far_rows().requires_grad_()
    outputs = convert_batchnorm(nn.BatchNorm1d(3), "ours")(rows)
    outputs.square().sum().backward()
    torch.testing.assert_close(outputs, nn.BatchNorm1d(3)(rows), rtol=0, atol=2e-4)
    # The mean, the variance, and both sums of the backward pass.
    assert asked == ["ours"] * 3


def test_weights_load_either_way():
    plain, converted = make_net(), convert_batchnorm(make_net())
    assert list(converted.state_dict()) == list(plain.state_dict())
    images, weights = make_batches()
    train_two_steps(plain, images, weights)
    converted.load_state_dict(plain.state_dict())
    assert torch.equal(converted.eval()(images[0]), plain.eval()(images[0]))


def test_without_other_processes_it_is_plain():
    images, weights = make_batches()
    plain, converted = make_net(), convert_batchnorm(make_net())
    assert sum(isinstance(module, SynchronisedBatchNorm) for module in converted) == 4
    assert torch.equal(train_two_steps(converted, images, weights), train_two_steps(plain, images, weights))


def test_converting_keeps_the_parameters_themselves():
    """An optimiser made before still moves them, and what is frozen stays so."""
    net = make_net().eval()
    net[1].weight.requires_grad_(False)
    before = [*net.parameters(), *net.buffers()]
    converted = convert_batchnorm(copy.deepcopy(convert_batchnorm(net)))
    after = [*net.parameters(), *net.buffers()]
    assert all(kept is tensor for kept, tensor in zip(after, before, strict=True))
    assert not converted[1].training
    assert not converted[1].weight.requires_grad


def test_a_layer_with_a_forward_of_its_own_is_refused():
    class Doubled(nn.BatchNorm2d):
        def forward(self, input):
            return 2 * super().forward(input)

    with pytest.raises(ModelError, match="Doubled '0' can't be synchronised, its forward is its own"):
        convert_batchnorm(nn.Sequential(Doubled(3)))
