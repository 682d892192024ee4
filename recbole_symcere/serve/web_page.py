"""The files of the page, and a list of the API in HTML; neither needs the network."""

import html
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from recbole_symcere.page.html_page import STYLE

__all__ = ["FILES", "api_list"]

_FOLDER = files(__package__) / "web"


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


FILES = {
    "/": (_read("page.html"), "text/html"),
    "/page.css": (STYLE + _read("page.css"), "text/css"),
    "/page.js": (_read("page.js"), "text/javascript"),
    "/parts.js": (_read("parts.js"), "text/javascript"),
}
"""Path -> content and media type."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
</head>
<body>
<header><h1>{title}</h1><p><a href="/">the page</a> <a href="/openapi.json">openapi.json</a></p>
</header>
<main>
<p class="quiet">{about}</p>
{answers}
</main>
</body>
</html>
"""


def api_list(description: Mapping[str, Any]) -> str:
    """An OpenAPI description as a page.

    FastAPI's own pages load scripts from elsewhere.

    Args:
        description: what ``/openapi.json`` tells.
    """
    told = [_answer(path, ways["get"]) for path, ways in description["paths"].items()]
    info = description["info"]
    title = html.escape(f"{info['title']} {info['version']}")
    return _PAGE.format(
        title=title, about=html.escape(info["description"]), answers="\n".join(told)
    )


def _answer(path: str, way: Mapping[str, Any]) -> str:
    rows = "\n".join(_parameter(one) for one in way.get("parameters", ()))
    table = (
        '<table><thead><tr><th scope="col">parameter</th><th scope="col">what</th>'
        f'<th scope="col">bounds</th></tr></thead><tbody>\n{rows}\n</tbody></table>'
    )
    shape = way["responses"]["200"]["content"]["application/json"]["schema"].get("$ref", "")
    return (
        f'<section class="card"><h2>GET <code>{html.escape(path)}</code></h2>'
        f"<p>{html.escape(way.get('description', ''))} "
        f"Answers <code>{html.escape(shape.rpartition('/')[2])}</code>.</p>"
        f"{table if rows else ''}</section>"
    )


def _parameter(one: Mapping[str, Any]) -> str:
    schema = one["schema"]
    bounds = [f"{name} {schema[name]}" for name in _BOUNDS if name in schema]
    bounds += [f"default {schema['default']!r}"] if "default" in schema else []
    bounds += ["required"] if one.get("required") else []
    cells = (f"<code>{html.escape(one['name'])}</code>", html.escape(one.get("description", "")))
    return (
        f"<tr><td>{cells[0]}</td><td>{cells[1]}</td><td>{html.escape(', '.join(bounds))}</td></tr>"
    )


_BOUNDS = ("type", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
