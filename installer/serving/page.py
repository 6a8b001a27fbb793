"""The frame of self-contained HTML reports: no script, no font and no picture from elsewhere.

Colours follow the reader's system, dark or light; every state has a sign beside its colour.
"""

from __future__ import annotations

from html import escape

_STYLE = """
:root { color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1d2126; --quiet: #5d6670; --line: #d9dde1;
  --good: #1a7f45; --warn: #9a6200; --bad: #c22f2f; --idle: #6b7580; --accent: #2563b0; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171a; --card: #1c2024; --ink: #e6e9ec; --quiet: #9aa4ae; --line: #343b42;
  --good: #4cc581; --warn: #e0a640; --bad: #f0716b; --idle: #8b959f; --accent: #6aa7f0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 78rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
p { margin: .3rem 0; } code, pre { font-family: ui-monospace, "SF Mono", Menlo, monospace;
  font-size: .88em; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; }
.quiet { color: var(--quiet); } .good { color: var(--good); } .warn { color: var(--warn); }
.bad { color: var(--bad); } .idle { color: var(--idle); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .8rem 1rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .25rem .7rem;
  border-bottom: 1px solid var(--line); vertical-align: top; } th { color: var(--quiet);
  font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; }
"""


def page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole HTML document. title: plain text; body: HTML; style, script: added to ours."""
    tail = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n{tail}"
        "</body>\n</html>\n"
    )


def element(tag: str, content: str, **attributes: str) -> str:
    """`<tag …>content</tag>`; content is HTML, attribute values are escaped. `css` is `class`."""
    named = "".join(
        f' {"class" if name == "css" else name.replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value
    )
    return f"<{tag}{named}>{content}</{tag}>"


def text(value: object) -> str:
    """Plain text as HTML."""
    return escape(str(value))
