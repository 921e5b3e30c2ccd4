"""Every combination of model, norm, init and options trains, or is refused before it starts."""

import itertools
import random
import re

import pytest
import torch
from torch import nn

import normlab.init
import normlab.models
import normlab.norms  # noqa: F401 (the imports register every choice)
from normlab.config.component import InitConfig, ModelConfig, NormConfig, choices
from normlab.models.kit import Kit
from normlab.models.resnet import ResNetConfig
from normlab.models.shapes import output_shape
from normlab.models.vgg import VGGConfig

BATCH = 8
SETTINGS: dict[str, dict[str, object]] = {
    "batch_ghost": {"ghost_size": 4},
    "batch_renorm": {"warmup_steps": 0, "r_ramp_end": 2, "d_ramp_end": 2},
}
DEEP = {"resnet56", "resnet110"}


def sample_shape(model: str) -> tuple[int, ...]:
    return (10,) if model == "deep_linear" else (3, 32, 32)


def model_variants() -> list[ModelConfig]:
    variants: list[ModelConfig] = []
    for name, config in choices("model").items():
        assert issubclass(config, ModelConfig)
        if issubclass(config, VGGConfig):
            variants += [config(width=0.0625), config(width=0.0625, head="three_layer")]
        elif name not in ("resnet18", "resnet20") and issubclass(config, ResNetConfig):
            variants.append(config())
        elif issubclass(config, ResNetConfig):
            variants += [config(), config(preactivation=True), config(zero_init_last=True)]
            variants += [config(residual="skipinit"), config(residual="fixup")]
        else:
            variants.append(config())
    return variants


MODELS = model_variants()
NORMS = [
    config(position=position, weight_standardization=standardized, **SETTINGS.get(name, {}))
    for name, config in choices("norm").items()
    for position in ("before", "after")
    for standardized in (False, True, "scaled")
]
DROPOUT = (0.0, 0.3)


def built(model: ModelConfig, norm: NormConfig, dropout: float) -> nn.Module:
    return model.build(Kit(norm=norm, dropout=dropout), sample_shape(model.NAME), 10)


REASONS = (
    r"norm=\w+ takes a variance over .* needs at least 2 values; .* has 1\. [A-Z].*\.",
    r"model=deep_linear has no activations to drop; got dropout=0\.3\. Set dropout=0\.",
    r"model\.zero_init_last starts .* at 0; this normalization puts none there\. Choose .*\.",
    r"model\.residual=fixup trains without normalization; got norm=.*\. Set norm=none .*\.",
)


def reason_to_refuse(model: ModelConfig, norm: NormConfig, dropout: float) -> str | None:
    """What building the network and knowing its shapes says against it."""
    try:
        with torch.device("meta"):
            network = built(model, norm, dropout)
        shape = output_shape(network, torch.Size((BATCH, *sample_shape(model.NAME))))
    except ValueError as error:
        return str(error)
    assert shape == (BATCH, 10)
    return None


def test_shapes_are_known_without_running() -> None:
    """Every model x norm x position x standardization x dropout is accepted or given a reason."""
    reasons = []
    for model, norm in itertools.product(MODELS, NORMS):
        for dropout in DROPOUT if not norm.weight_standardization else (0.0,):
            reasons.append(reason_to_refuse(model, norm, dropout))
    refused = [reason for reason in reasons if reason is not None]
    assert len(reasons) > 2 * len(refused) > 0
    unknown = {text for text in refused if not any(re.fullmatch(known, text) for known in REASONS)}
    assert not unknown


def random_combinations(count: int) -> list[tuple[ModelConfig, NormConfig, InitConfig, float]]:
    source = random.Random(0)
    inits = [config() for config in choices("init").values()]
    small = [model for model in MODELS if model.NAME not in DEEP | {"resnet34", "resnet50"}]
    return [
        (source.choice(small), source.choice(NORMS), source.choice(inits), source.choice(DROPOUT))
        for _ in range(count)
    ]


def refused_by_lsuv(model: ModelConfig, norm: NormConfig) -> bool:
    """Standardized weights, and Fixup's convolutions that start at 0, have no scale to set."""
    return bool(norm.weight_standardization) or getattr(model, "residual", "plain") == "fixup"


@pytest.mark.parametrize("part", range(10))
def test_random_combinations_train_two_steps(part: int) -> None:
    """A finite loss and gradient twice over, or a `ValueError` of which the shapes knew."""
    for model, norm, init, dropout in random_combinations(200)[part::10]:
        if reason_to_refuse(model, norm, dropout) is not None:
            continue
        network = built(model, norm, dropout)
        source = torch.Generator().manual_seed(0)
        inputs = torch.randn(BATCH, *sample_shape(model.NAME), generator=source)
        targets = torch.randint(10, (BATCH,), generator=source)
        what = f"{model} {norm} {init} dropout={dropout}"
        if init.NAME == "lsuv" and refused_by_lsuv(model, norm):
            with pytest.raises(ValueError, match=r"^init=lsuv .*\."):
                init.apply(network, inputs, 0)
            continue
        init.apply(network, inputs, 0)
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
        for _ in range(2):
            optimizer.zero_grad()
            outputs = network(inputs)
            assert outputs.shape == (BATCH, 10), what
            # Weights of deviation 1 without normalization leave float32's range for the loss.
            loss = nn.functional.cross_entropy(
                outputs / outputs.detach().abs().amax().clamp(min=1), targets
            )
            assert loss.isfinite(), what
            loss.backward()
            optimizer.step()


@pytest.mark.parametrize("name", sorted(choices("norm")))
@pytest.mark.parametrize("model", ["mlp", "vgg11", "resnet20", "book_cnn"])
def test_predicted_shapes_are_the_real_ones(name: str, model: str) -> None:
    norm = choices("norm")[name](**SETTINGS.get(name, {}))
    assert isinstance(norm, NormConfig)
    config = choices("model")[model]()
    assert isinstance(config, ModelConfig)
    network = built(config, norm, 0.3)
    choices("init")["he"]().apply(network, None, 0)  # type: ignore[attr-defined]
    values = torch.zeros(BATCH, *sample_shape(model))
    shape = values.shape
    if model in ("mlp", "book_cnn") and name == "instance":
        for check in (lambda: network(values), lambda: output_shape(network, shape)):
            with pytest.raises(ValueError, match="norm=instance takes a variance"):
                check()
        return
    for stage in network:
        values = stage(values)
        shape = output_shape(stage, shape)
        assert values.shape == shape, stage


def test_batches_are_refused_as_in_training() -> None:
    norm = choices("norm")["batch"]()
    network = built(choices("model")["mlp"](), norm, 0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"norm=batch .* \(1, 100\) has 1\. Raise batch_size"):
        output_shape(network, torch.Size((1, 3, 32, 32)))


def test_a_stage_without_a_rule() -> None:
    with pytest.raises(AssertionError, match="Hardtanh has no rule for its shape"):
        output_shape(nn.Hardtanh(), torch.Size((2, 3)))
