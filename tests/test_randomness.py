import copy
import hashlib

import torch

from normlab.randomness import Clock, Stream, derive_seed, generator

CPU = torch.device("cpu")


def test_seed_is_the_head_of_sha256_over_the_names() -> None:
    digest = hashlib.sha256(b"7\0init\0conv1.weight").hexdigest()
    assert derive_seed(7, "init", "conv1.weight") == int(digest[:16], 16) >> 1
    assert derive_seed(0) == int(hashlib.sha256(b"0").hexdigest()[:16], 16) >> 1


def test_seeds_of_different_names_differ() -> None:
    seeds = {
        derive_seed(seed, name, step) for seed in range(20) for name in "ab" for step in range(50)
    }
    assert len(seeds) == 20 * 2 * 50
    assert derive_seed(1, "a", "b") != derive_seed(1, "ab")
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generators_are_fresh_and_repeatable() -> None:
    first = torch.randn(5, generator=generator(0, "order", 1))
    again = torch.randn(5, generator=generator(0, "order", 1))
    other = torch.randn(5, generator=generator(0, "order", 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_stream_replays_within_a_step_and_moves_with_the_clock() -> None:
    clock = Clock()
    stream = Stream(0, "dropout/relu1", clock)
    first = torch.randn(5, generator=stream.generator(CPU))
    assert torch.equal(torch.randn(5, generator=stream.generator(CPU)), first)
    clock.step = 1
    assert not torch.equal(torch.randn(5, generator=stream.generator(CPU)), first)
    clock.step = 0
    assert torch.equal(torch.randn(5, generator=stream.generator(CPU)), first)


def test_copied_stream_follows_the_same_clock() -> None:
    stream = Stream(0, "noise", Clock())
    copied = copy.deepcopy({"stream": stream})["stream"]
    stream.clock.step = 9
    assert copied.clock.step == 9


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(0, "a"))
    torch.rand(3, generator=Stream(0, "a", Clock()).generator(CPU))
    assert torch.equal(torch.get_rng_state(), before)
