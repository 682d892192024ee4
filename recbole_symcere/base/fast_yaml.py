"""YAML by libyaml, where PyYAML has it: several times as fast.

A run reads a dozen files of RecBole's settings and ours, and writes its own. What users wrote, and
the settings of runs, which may be anybody's, are read by PyYAML itself, which takes a little more
(``[1:]`` is an error of libyaml's) and survives more (libyaml dies of 40,000 open brackets).
"""

import functools
from typing import Any

import yaml

__all__ = ["by_libyaml", "read_yaml", "written_yaml"]

_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SafeDumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_yaml(text: str) -> Any:
    """What a YAML text says, without Python objects.

    Raises:
        yaml.YAMLError: if it is no YAML.

    >>> read_yaml("topk: [10, 20]")
    {'topk': [10, 20]}
    """
    return yaml.load(text, Loader=_SafeLoader)


def written_yaml(value: Any) -> str:
    """A value without Python objects as a YAML text, its keys in order.

    >>> print(written_yaml({"topk": [10, 20]}))
    topk:
    - 10
    - 20
    <BLANKLINE>
    """
    text: str = yaml.dump(value, Dumper=_SafeDumper, allow_unicode=True)
    return text


@functools.cache
def by_libyaml(loader: Any) -> Any:
    """A loader that takes every value for what ``loader``, a FullLoader, takes it for."""
    fast = getattr(yaml, "CFullLoader", None)
    if fast is None:
        return loader
    tables = ("yaml_implicit_resolvers", "yaml_path_resolvers", "yaml_constructors")
    return type("FastLoader", (fast,), {name: getattr(loader, name) for name in tables})
