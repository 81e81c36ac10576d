"""Show an OpenAPI description as one plain page: no scripts, nothing from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import Markup, escape

from pipelines.data.pages.templates import page_templates

HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


def manual_page(openapi: dict[str, Any]) -> HTMLResponse:
    """Return the page of an OpenAPI document."""
    templates = page_templates("pipelines.data.pages")
    templates.loader = ChoiceLoader([FileSystemLoader(HERE), *([templates.loader] if templates.loader else [])])
    templates.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    templates.filters["told"] = _told
    templates.filters["coded"] = _coded
    operations = [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    page = templates.get_template("tandem_manual.html").render(api=openapi, operations=operations)
    return HTMLResponse(page, headers=HEADERS)


def _coded(text: str) -> Markup:
    """Return text as HTML, with what stands between backquotes as code."""
    parts = str(escape(text)).split("`")
    return Markup("".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)))  # noqa: S704 -- escaped above


def _told(schema: dict[str, Any]) -> str:
    """Return in a few words what values a schema allows."""
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema:
        return " or ".join(_told(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return "object"
    if schema.get("type") == "array" and "type" in schema.get("items", {}):
        return f"list of {_told(schema['items'])}s"
    bounds = {"maxLength": "at most {} characters", "maxItems": "at most {} items"}
    words = [text.format(schema[key]) for key, text in bounds.items() if key in schema]
    return ", ".join([str(schema.get("type", "any JSON")), *words])
