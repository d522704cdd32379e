from itertools import product

import torch

from training.seeds import Seeds


def draws(seeds):
    """The first draw of each purpose; global ones as a generator seeded like torch's would make them."""
    globally = torch.Generator().manual_seed(seeds.torch_global)
    return (
        int(torch.randint(2**62, (), generator=globally)),
        int(seeds.plan().integers(2**62)),
        int(torch.randint(2**62, (), generator=seeds.augmentation())),
    )


def test_no_stream_is_another_of_any_seed_member_or_purpose():
    """Seed 0 of member 1 is not seed 1 of member 0, either."""
    numbers = [number for seed, member in product(range(5), repeat=2) for number in draws_of(seed, member)]
    assert len(set(numbers)) == 75


def draws_of(seed, member):
    return draws(Seeds(seed=seed, member=member))


def test_the_same_seed_and_member_are_the_same():
    assert draws_of(2**32 - 1, 3) == draws_of(2**32 - 1, 3)


def test_each_generator_begins_anew():
    seeds = Seeds(seed=1, member=2)
    first = seeds.plan()
    first.random(100)
    assert seeds.plan().integers(2**62) == draws(seeds)[1]


def test_a_purpose_keeps_its_stream_when_another_draws():
    seeds = Seeds(seed=4, member=0)
    plan = seeds.plan()
    seeds.augmentation()
    torch.rand(10, generator=seeds.augmentation())
    assert plan.integers(2**62) == draws(seeds)[1]


def test_streams_stay_what_they_are():
    """A run must come out the same when it is made again by a later version."""
    seeds = Seeds(seed=0, member=0)
    assert seeds.torch_global == 1317536309490288386
    assert seeds.plan().bit_generator.random_raw() == 6729429447121830309
    assert seeds.augmentation().initial_seed() == 6732180131098485628
