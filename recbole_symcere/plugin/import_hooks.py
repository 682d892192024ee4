"""Run a function right after a module is imported, without importing that module ourselves.

``import recbole_symcere`` must stay light, and yet it changes modules of RecBole. So the changes
are queued here and made when the module arrives; a module that is already there is changed at once.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

__all__ = ["after_import", "alias_module", "before_import", "explain_absence", "offer_model"]

Callback = Callable[[ModuleType], None]


class _AliasLoader(importlib.abc.Loader):
    """Makes a module under a foreign name that offers one attribute."""

    def __init__(self, attribute: str, value: Callable[[], Any]) -> None:
        self.attribute, self.value = attribute, value

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, self.attribute, self.value())


class _AbsentLoader(importlib.abc.Loader):
    """Stands for a module that isn't installed: to import it tells how to get it."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell = tell

    def exec_module(self, module: ModuleType) -> None:
        self.tell()
        raise ModuleNotFoundError(f"No module named {module.__name__!r}", name=module.__name__)


class _Finder(importlib.abc.MetaPathFinder):
    """Answers for aliases, and lets the callbacks of the modules it knows run around import."""

    def __init__(self) -> None:
        self.aliases: dict[str, _AliasLoader] = {}
        self.before: dict[str, list[Callable[[], None]]] = {}
        self.after: dict[str, list[Callback]] = {}
        self.absent: dict[str, _AbsentLoader] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in self.aliases:
            return importlib.util.spec_from_loader(fullname, self.aliases[fullname])
        if fullname not in self.before and fullname not in self.after:
            return None
        spec = self._spec_of_others(fullname, path, target)
        if spec is None and fullname in self.absent:
            return importlib.util.spec_from_loader(fullname, self.absent[fullname])
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            for run in self.before.get(fullname, ()):
                run()
            execute(module)
            for callback in self.after.get(fullname, ()):
                callback(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign] # this instance only
        return spec

    def _spec_of_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, target)
                if spec is not None:
                    return spec
        return None


_finder = _Finder()


def _installed() -> _Finder:
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    return _finder


def alias_module(name: str, attribute: str, value: Callable[[], Any]) -> None:
    """Let ``import name`` give a module whose ``attribute`` is ``value()``, also if it is there."""
    loader = _AliasLoader(attribute, value)
    _installed().aliases[name] = loader
    if name in sys.modules:
        loader.exec_module(sys.modules[name])


def offer_model(name: str, model_class: Callable[[], Any]) -> None:
    """Let RecBole find a model, where it looks for a module of the model's name in lower case."""
    alias_module(f"recbole.model.general_recommender.{name.lower()}", name, model_class)


def before_import(name: str, function: Callable[[], None]) -> None:
    """Run ``function()`` before module ``name`` is executed; at once if it is there already."""
    _installed().before.setdefault(name, []).append(function)
    if name in sys.modules:
        function()


def after_import(name: str, function: Callback) -> None:
    """Run ``function(module)`` after module ``name`` was executed; at once if it is there."""
    _installed().after.setdefault(name, []).append(function)
    if name in sys.modules:
        function(sys.modules[name])


def explain_absence(name: str, tell: Callable[[], None]) -> None:
    """Run ``tell()``, which raises, where module ``name`` is imported and isn't installed.

    Only for a name that `before_import` or `after_import` knows.
    """
    _installed().absent[name] = _AbsentLoader(tell)
