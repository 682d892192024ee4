"""What our code says, wherever it stands: to know a run that the same code has made."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["code_fingerprint"]

_PACKAGE = Path(__file__).parents[1]
_NAME = _PACKAGE.name
# What reads, compares or shows results, or makes data: a change there leaves a run's numbers alone.
_BESIDE_RUNS = {
    *("cli.py", "compare", "convert", "explain", "page", "serve", "tune"),
    "log_lines.py",
}


@functools.cache
def code_fingerprint(root: Path = _PACKAGE) -> str:
    """sha256 over the code that a run's numbers depend on.

    Each definition counts by what it does: neither the file that it stands in, nor imports of our
    own modules, nor docstrings, comments and layout change the result.

    Args:
        root: the package's folder.
    """
    found: set[str] = set()
    for path in root.rglob("*.py"):
        if not _BESIDE_RUNS.intersection(path.relative_to(root).parts):
            tree = _Stripped().visit(ast.parse(path.read_text(encoding="utf-8")))
            found.update(ast.dump(statement) for statement in tree.body)
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


class _Stripped(ast.NodeTransformer):
    """Takes out docstrings, imports of our own, ``__all__``, and the place of a name of ours."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [*_that_do_something(statements)])
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:  # ast's name
        return None if (node.module or "").split(".")[0] == _NAME else node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:  # ast's name
        if isinstance(node.value, str) and node.value.startswith(f"{_NAME}."):
            return ast.Constant(node.value.rsplit(".", 1)[1])  # a module or what is in it, by name
        return node


def _that_do_something(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in statements:
        text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        names = isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets
        )
        if not text and not names:
            yield statement
