"""Convert nested plain values to typed configurations, and back.

Pydantic checks and builds each dataclass as a whole: types, keys that do not exist, values that
are missing. This module finds the class a `name` stands for, and says what is wrong in the
user's words.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from normlab.config.code import place_of, told
from normlab.config.component import Component
from normlab.config.errors import ConfigError, hint, no_such_setting, unknown
from normlab.config.registry import MODULES, choices, owners
from normlab.config.run import ResolvedEvalConfig, ResolvedRun, RunConfig
from normlab.config.settings import described
from normlab.words import alternatives, did_you_mean

COMPONENT_GROUPS = tuple(group for group in MODULES if group != "probe")
"""The groups of which a run has one component."""


def run_config(plain: Mapping[str, Any]) -> RunConfig:
    """Build and validate the configuration of one run.

    Args:
        plain: nested plain values; each group is a mapping with a `name`, `probe` a mapping from
            probe name to its settings.

    Raises:
        ConfigError: with the dotted key, the value and the way out.
    """
    values = {key: value for key, value in plain.items() if key != "hydra"}
    if "probe_budget" in values:
        budget = values["probe_budget"]
        raise ConfigError(f"probe_budget is written probe.budget; give probe.budget={budget}.")
    for group in COMPONENT_GROUPS:
        if group not in values:
            raise ConfigError(f"a run needs a {group}: give {group}=NAME.{_choices(group)}")
    if "probe" in values:
        values |= _probes(values["probe"])
    config = _built(RunConfig, "", values, "configs/train.yaml")
    assert isinstance(config, RunConfig)
    return config


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


def component(group: str, values: Any) -> Component:
    """The component a mapping with a `name` stands for.

    Raises:
        ConfigError: likewise.
    """
    if not isinstance(values, Mapping) or "name" not in values:
        raise ConfigError(f"{group} must be the name of a {group}.{_choices(group)}")
    settings = dict(values)
    name = settings.pop("name")
    available = choices(group)
    if name not in available:
        raise ConfigError(unknown(group, str(name), available, f"configs/{group}/"))
    key = f"{group}.{name}" if group == "probe" else group
    built = _built(available[name], key, settings, f"configs/{group}/{name}.yaml")
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


def _probes(value: Any) -> dict[str, Any]:
    """The fields that the mapping `probe` fills: the probes, and the budget that stands there."""
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"probe must be a list of probe names, such as 'probe=[ics]'; got {_show(value)}."
        )
    probes = {name: settings for name, settings in sorted(value.items()) if name != "budget"}
    for name, settings in probes.items():
        if not isinstance(settings, Mapping):
            raise ConfigError(f"probe.{name} must be a mapping of settings; got {_show(settings)}.")
    return {
        "probe": [{**settings, "name": name} for name, settings in probes.items()],
        "probe_budget": value.get("budget"),
    }


def _built(cls: Any, key: str, values: Mapping[str, Any], defined_in: str) -> Any:
    try:
        return _adapter(cls).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        first = next((one for one in errors if one["type"] == _UNKNOWN_KEY), errors[0])
        raise ConfigError(_translated(first, cls, key, values, defined_in)) from None
    except (TypeError, AttributeError, PydanticUserError) as error:  # of a class of one's own
        name = f"{key}={cls.NAME}" if issubclass(cls, Component) else cls.__name__
        raise ConfigError(f"{name} ({place_of(cls)}) cannot be made: {told(error)}.") from error


_UNKNOWN_KEY = "unexpected_keyword_argument"


def _translated(
    error: ErrorDetails, cls: Any, key: str, values: Mapping[str, Any], defined_in: str
) -> str:
    """What pydantic found wrong with the values of a dataclass, in our words."""
    if (raised := error.get("ctx", {}).get("error")) is not None:
        return str(raised)
    name, *inner = map(str, error["loc"])
    prefix = f"{key}." if key else ""
    full = f"{prefix}{name}"
    if error["type"] == _UNKNOWN_KEY and not inner:
        valid = [prefix + field.name for field in dataclasses.fields(cls)]
        return no_such_setting(full, valid, defined_in, owners(key, name))
    if error["type"] == "missing":
        return f"{full} has no value; give {full}=VALUE."
    annotation = _annotations(cls)[name]
    if dataclasses.is_dataclass(annotation):
        if not isinstance(values[name], Mapping):
            return f"{full} must be a mapping of settings; got {_show(values[name])}."
        return _translated(
            {**error, "loc": error["loc"][1:]}, annotation, full, values[name], defined_in
        )
    return _wrong_type(described(cls)[name].key or full, annotation, values[name])


def check_setting(cls: Any, key: str, name: str, value: Any) -> None:
    """Check a single setting of a component, before there are values for all of them.

    Args:
        key: what stands before its name, such as "norm".

    Raises:
        ConfigError: it is of another type, or out of bounds.
    """
    said = described(cls)[name]
    full = said.key or f"{key}.{name}"
    annotation = _annotations(cls)[name]
    try:
        built = _adapter(annotation).validate_json(json.dumps(value), strict=True)
        if said.bounds is not None:
            said.bounds.refuse(full, built)
    except ValidationError:
        raise ConfigError(_wrong_type(full, annotation, value)) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _wrong_type(full: str, annotation: Any, value: Any) -> str:
    text = f"{full} must be {_describe(annotation)}; got {_show(value)}."
    if isinstance(value, float) and value.is_integer():  # such as 1e3
        return f"{text} Write {value:.0f}."
    if isinstance(value, str) and value in _NUMBERS_OF_YAML:
        return f"{text} Here it is written {_NUMBERS_OF_YAML[value]}."
    return text + (did_you_mean(value, _literals(annotation)) if isinstance(value, str) else "")


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


_NUMBERS_OF_YAML = {".inf": "inf", "-.inf": "-inf", ".nan": "nan"}
"""Of which Hydra's command line knows the second form alone."""

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
        return alternatives([str(argument) for argument in arguments])
    if origin is tuple:
        return f"a list, each item {_describe(arguments[0])}"
    return _WORDS.get(annotation, str(annotation))


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
