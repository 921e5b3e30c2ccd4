"""Plain nested dictionaries to frozen dataclasses, once, at the door.

Pydantic checks and coerces the types of each dataclass; this module finds the class a `name`
stands for, refuses keys the class does not have, and says what is wrong in the user's words.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from normlab.config.component import Component
from normlab.config.errors import ConfigError, hint, nearest, no_such_setting, unknown
from normlab.config.registry import choices, owners
from normlab.config.run import ResolvedEvalConfig, ResolvedRun, RunConfig

COMPONENT_GROUPS = (
    "model",
    "norm",
    "init",
    "data",
    "optimizer",
    "schedule",
    "tracker",
    "launcher",
)


def run_config(plain: Mapping[str, Any]) -> RunConfig:
    """Build and validate the configuration of one run.

    Args:
        plain: nested plain values; each group is a mapping with a `name`, `probe` a mapping from
            probe name to its settings.

    Raises:
        ConfigError: with the dotted key, the value and the way out.
    """
    values = {key: value for key, value in plain.items() if key != "hydra"}
    _refuse_unknown_keys("", values, RunConfig, "configs/train.yaml")
    _refuse_probe_budget(values)
    for group in COMPONENT_GROUPS:
        if group not in values:
            raise ConfigError(f"a run needs a {group}: give {group}=NAME.{_choices(group)}")
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key in COMPONENT_GROUPS:
            built[key] = component(key, value)
        elif key == "probe":
            built[key], built["probe_budget"] = _probes(value)
        elif dataclasses.is_dataclass(nested := _annotations(RunConfig)[key]):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{key} must be a mapping of settings; got {_show(value)}.")
            built[key] = _dataclass(nested, key, value, "configs/train.yaml")
        else:
            built[key] = _scalar(RunConfig, "", key, value)
    try:
        return RunConfig(**built)
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error)) from None


def resolved_run(plain: Mapping[str, Any]) -> ResolvedRun:
    """The configuration that was stored with a run.

    Raises:
        ConfigError: it is none, or leaves open what a stored one has worked out.
    """
    config = run_config(plain)
    missing = [
        key
        for key, value in (
            ("steps", config.steps),
            ("eval.every", config.eval.every),
            ("eval.record_every", config.eval.record_every),
        )
        if value is None
    ]
    if missing:
        raise ConfigError(f"{missing[0]} must be worked out in a recorded run; got null.")
    return ResolvedRun(**vars(config) | {"eval": ResolvedEvalConfig(**vars(config.eval))})


def component(group: str, values: Any, key: str | None = None) -> Component:
    """The component a mapping with a `name` stands for."""
    key = key or group
    if not isinstance(values, Mapping) or "name" not in values:
        raise ConfigError(f"{key} must be the name of a {group}.{_choices(group)}")
    settings = dict(values)
    name = settings.pop("name")
    available = choices(group)
    if name not in available:
        raise ConfigError(unknown(group, str(name), available, f"configs/{group}/"))
    built = _dataclass(available[name], key, settings, f"configs/{group}/{name}.yaml")
    assert isinstance(built, Component)
    return built


def plain(config: RunConfig) -> dict[str, Any]:
    """The inverse of `run_config`: nested plain values, ready for JSON or YAML."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "probe":
            out["probe"] = {probe.NAME: _settings(probe) for probe in value}
        elif field.name == "probe_budget":
            out["probe"] |= {} if value is None else {"budget": value}
        elif isinstance(value, Component):
            out[field.name] = {"name": value.NAME, **_settings(value)}
        elif dataclasses.is_dataclass(value):
            out[field.name] = _settings(value)
        else:
            out[field.name] = value
    return out


def _settings(instance: Any) -> dict[str, Any]:
    return {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(instance)
        for value in [getattr(instance, field.name)]
    }


def _probes(value: Any) -> tuple[tuple[Component, ...], float | None]:
    """The probes, and `probe.budget`, which stands among them."""
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"probe must be a list of probe names, such as 'probe=[ics]'; got {_show(value)}."
        )
    probes = []
    budget = _scalar(RunConfig, "probe.", "budget", value.get("budget"), field="probe_budget")
    for name, settings in sorted(value.items()):
        if name == "budget":
            continue
        if not isinstance(settings, Mapping):
            raise ConfigError(f"probe.{name} must be a mapping of settings; got {_show(settings)}.")
        probes.append(component("probe", {**settings, "name": name}, f"probe.{name}"))
    return tuple(probes), budget


def _dataclass(cls: Any, key: str, values: Mapping[str, Any], defined_in: str) -> Any:
    _refuse_unknown_keys(f"{key}.", values, cls, defined_in)
    built = {name: _scalar(cls, f"{key}.", name, value) for name, value in values.items()}
    missing = [
        field.name
        for field in dataclasses.fields(cls)
        if field.name not in built
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{key}.{missing[0]} has no value; give {key}.{missing[0]}=VALUE.")
    try:
        return cls(**built)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _refuse_unknown_keys(prefix: str, values: Mapping[str, Any], cls: Any, defined_in: str) -> None:
    valid = [prefix + field.name for field in dataclasses.fields(cls)]
    for name in values:
        if prefix + str(name) not in valid:
            others = owners(prefix.rstrip("."), str(name))
            raise ConfigError(no_such_setting(f"{prefix}{name}", valid, defined_in, others))


def _refuse_probe_budget(values: Mapping[str, Any]) -> None:
    if "probe_budget" in values:
        raise ConfigError(
            f"probe_budget is written probe.budget; give probe.budget={values['probe_budget']}."
        )


def _scalar(cls: Any, prefix: str, name: str, value: Any, field: str | None = None) -> Any:
    """A setting's value; `field` is the dataclass's name for it where that is another."""
    annotation = _annotations(cls)[field or name]
    try:
        return _adapter(annotation).validate_json(json.dumps(value), strict=True)
    except (ValidationError, TypeError):
        text = f"{prefix}{name} must be {_describe(annotation)}; got {_show(value)}."
        match = nearest(value, _literals(annotation)) if isinstance(value, str) else None
        if match is not None:
            text += f" Did you mean '{match}'?"
        raise ConfigError(text) from None


@cache
def _annotations(cls: Any) -> dict[str, Any]:
    return {
        name: annotation
        for name, annotation in get_type_hints(cls).items()
        if get_origin(annotation) is not ClassVar
    }


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def _describe(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in arguments)
    if origin is Literal:
        return _listed([str(argument) for argument in arguments])
    if origin is tuple:
        return f"a list, each item {_describe(arguments[0])}"
    return _WORDS.get(annotation, str(annotation))


def _listed(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _choices(group: str) -> str:
    return hint("", choices(group), "Choices", f"configs/{group}/")


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [argument for argument in get_args(annotation) if isinstance(argument, str)]
    return [word for argument in get_args(annotation) for word in _literals(argument)]


def _show(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)
