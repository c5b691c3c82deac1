"""The preview as one self-contained HTML page. No script, nothing loaded from anywhere.

What is shown comes from strangers' mail. So text is escaped, and the rendered part is in a sandboxed frame
whose policy loads nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

REMOVED = "(removed)"
_STYLE = (files(__package__) / "preview.css").read_text("utf-8")

_FRAME_POLICY = (
    '<meta http-equiv="Content-Security-Policy"'
    " content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_FRAME_STYLE = "<style>a[href],area[href]{outline:2px solid #0b6b4f!important;outline-offset:2px}</style>"


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One line of the preview. after: "" for what stays as it is; note: why, or what was done."""

    part: str
    what: str
    before: str
    after: str
    name: str
    note: str

    @property
    def changed(self) -> bool:
        """Return whether the message changes here."""
        return bool(self.after)


def page(title: str, facts: Sequence[tuple[str, str]], rows: Sequence[PreviewRow], rendered: str) -> str:
    """Return the page, as HTML.

    facts: (label, value) pairs about the message. rendered: the HTML of its top part, or "".
    """
    changed = sum(row.changed for row in rows)
    figures = [("links tracked", sum(r.what == "link" and r.changed for r in rows))]
    figures += [
        ("pixels added", sum(r.what == "pixel" for r in rows)),
        ("left as they were", len(rows) - changed),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
            f"<title>Preview: {escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            *(f'<p class="soft">{escape(label)}: {escape(value)}</p>' for label, value in facts),
            '<ul class="figures">',
            *(f"<li><b>{count}</b>{escape(label)}</li>" for label, count in figures),
            "</ul>",
            "<h2>What changes, and what does not</h2>",
            '<div class="card"><table><thead><tr><th>Part</th><th>What</th><th>Before, and after</th>'
            "<th>Name</th><th>Note</th></tr></thead><tbody>",
            *(_table_row(row) for row in rows),
            "</tbody></table></div>",
            *(_frame(rendered) if rendered else ()),
            "</main></body></html>",
            "",
        ]
    )


def _table_row(row: PreviewRow) -> str:
    tag = f'<span class="tag {"go" if row.changed else "stay"}">{escape(row.what)}</span>'
    sort = "removed" if row.after == REMOVED else "after"
    after = (
        f'<code class="{sort}" title="{escape(row.after)}">{escape(row.after)}</code>' if row.after else ""
    )
    before = f'<code class="before">{escape(row.before)}</code>' if row.before else ""
    opening = '<tr class="changed">' if row.changed else "<tr>"
    return (
        f"{opening}<td>{escape(row.part)}</td><td>{tag}</td><td>{before}{after}</td>"
        f"<td>{escape(row.name)}</td><td>{escape(row.note)}</td></tr>"
    )


def _frame(rendered: str) -> list[str]:
    document = _FRAME_POLICY + rendered + _FRAME_STYLE
    return [
        "<h2>As the reader sees it, every link outlined (remote images are not loaded)</h2>",
        f'<div class="card"><iframe sandbox title="The message" srcdoc="{escape(document)}"></iframe></div>',
    ]
