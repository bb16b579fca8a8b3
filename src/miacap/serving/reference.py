"""What /openapi.json says, as a page that people read: no script, nothing from elsewhere."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["reference"]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: addresses and answers</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css">
</head>
<body>
<header><h1>{title} {version}: addresses and answers</h1>
<p>{description} <a href="/">The page to try it</a> · <a href="/openapi.json">openapi.json</a></p>
</header>
<main class="reference">
<pre>curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' ADDRESS/v1/caption
curl -F photo=@photo.jpg 'ADDRESS/v1/caption?best=5'</pre>
{body}
</main>
</body>
</html>
"""


def reference(schema: Mapping[str, Any]) -> str:
    """Give the page of an OpenAPI description."""
    parts = [
        _operation(method, path, told)
        for path, methods in schema["paths"].items()
        for method, told in methods.items()
    ]
    models = schema.get("components", {}).get("schemas", {})
    parts += [_model(name, told) for name, told in models.items()]
    return _PAGE.format(
        title=escape(schema["info"]["title"]),
        version=escape(schema["info"]["version"]),
        description=escape(schema["info"].get("description", "")),
        body="\n".join(parts),
    )


def _operation(method: str, path: str, told: Mapping[str, Any]) -> str:
    lines = [f"<section><h2>{escape(method.upper())} {escape(path)}</h2>"]
    lines.append(f"<p>{escape(told.get('summary', ''))}.</p>")
    if parameters := told.get("parameters"):
        rows = (
            (p["name"], _kind(p["schema"]), p.get("description", ""), p["schema"].get("default"))
            for p in parameters
        )
        lines.append(_table(("parameter", "type", "what", "default"), rows))
    if body := told.get("requestBody"):
        kinds = ", ".join(f"<code>{escape(kind)}</code>" for kind in body["content"])
        lines.append(f"<p>Body: {escape(body.get('description', ''))} {kinds}</p>")
    answers = ((status, _answer(one), one["description"]) for status, one in _answers(told))
    lines.append(_table(("status", "answer", "when"), answers))
    return "\n".join([*lines, "</section>"])


def _answers(told: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from sorted(told["responses"].items())


def _answer(response: Mapping[str, Any]) -> str:
    content = response.get("content", {}).get("application/json", {})
    return _kind(content.get("schema", {}))


def _model(name: str, told: Mapping[str, Any]) -> str:
    needed = told.get("required", [])
    rows = (
        (field, _kind(about), about.get("description", ""), "" if field in needed else "optional")
        for field, about in told.get("properties", {}).items()
    )
    head = f'<section id="{escape(name)}"><h2>{escape(name)}</h2>'
    what = f"<p>{escape(told.get('description', ''))}</p>"
    return f"{head}\n{what}\n{_table(('field', 'type', 'what', ''), rows)}</section>"


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _table(head: tuple[str, ...], rows: Any) -> str:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = [f"<tr>{cells}</tr>"]
    for row in rows:
        shown = (cell if isinstance(cell, str) else json.dumps(cell) for cell in row)
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in shown) + "</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'
