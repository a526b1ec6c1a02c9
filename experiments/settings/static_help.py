"""The description of all settings, read from their source: ``--help`` answers without importing torch.

The schema composes dataclasses that stand beside the classes that use them, so importing it imports nearly everything.
Their fields are plain, though: ``name: type = setting(default, "help", ...)``. This module finds them by parsing. A
test holds its rows against those of ``experiments.settings.descriptions.describe``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMA = "experiments.settings.schema"

Row = tuple[str, str, str, str]


def describe_statically(module: str = SCHEMA, cls: str = "Config", prefix: str = "") -> Iterator[Row]:
    """Yield every key as (path, type, default, help), in the schema's order.

    Args:
        module: dotted name of the module that holds the dataclass.
        cls: its name.
        prefix: of the paths.
    """
    for name, annotation, default, text in _fields(module, cls):
        path = prefix + name
        if isinstance(default, ast.Call) and isinstance(default.func, ast.Name):
            yield from describe_statically(*_where(module, default.func.id), path + ".")
            continue
        yield path, ast.unparse(annotation), _shown(module, default), text
        for inner in ast.walk(annotation):
            if isinstance(inner, ast.Name) and (found := _where(module, inner.id))[1] and _is_dataclass(*found):
                marker = "<name>" if ast.unparse(annotation).startswith("dict") else "<i>"
                yield from describe_statically(*found, f"{path}.{marker}.")


def _fields(module: str, cls: str) -> Iterator[tuple[str, ast.expr, ast.expr, str]]:
    """Yield name, type, default and help of the fields of a dataclass, those of its base classes first."""
    node = _classes(module)[cls]
    rows: dict[str, tuple[str, ast.expr, ast.expr, str]] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and _is_dataclass(*_where(module, base.id)):
            rows |= {row[0]: row for row in _fields(*_where(module, base.id))}
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            assert isinstance(line.value, ast.Call), f"{module}.{cls}.{line.target.id}: expected setting(...)"
            default, text = line.value.args[:2]
            rows[line.target.id] = (line.target.id, line.annotation, default, ast.literal_eval(text))
    yield from rows.values()


def _shown(module: str, default: ast.expr) -> str:
    """Show a default as a person reads it: a literal, or a constant that the module defines or imports from ours."""
    if isinstance(default, ast.Name):
        if default.id not in _constants(module):
            return _shown(_imports(module)[default.id][0], default)
        default = _constants(module)[default.id]
    value = ast.literal_eval(default)
    return "''" if value == "" else str(value)


def _where(module: str, name: str) -> tuple[str, str]:
    """Return module and name of a class that a module defines or imports from ours; empty names elsewhere."""
    if name in _classes(module):
        return module, name
    return _imports(module).get(name, ("", ""))


def _is_dataclass(module: str, cls: str) -> bool:
    if not module or cls not in _classes(module):
        return False
    return any("dataclass" in ast.unparse(decorator) for decorator in _classes(module)[cls].decorator_list)


@cache
def _tree(module: str) -> ast.Module:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in _tree(module).body if isinstance(node, ast.ClassDef)}


@cache
def _constants(module: str) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in _tree(module).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module and (ROOT / node.module.split(".")[0]).is_dir():
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    return found
