"""The page for people: drop or draw a picture, or fill in a row, and see what the network says of it.

Every text is escaped, nothing comes from elsewhere, and the script is a file of its own, so that the content security
policy can forbid all others.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template

from nnscratch.report.formats import printable
from nnscratch.serve.description import Description, Field

LONGEST_SIDE = 280
"""Pixels of the canvas that one draws on."""

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$name</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
</head>
<body>
<header>
<h1>$name</h1>
<p class="subtitle">$words; weights of epoch $epoch</p>
</header>
<main>
<section aria-labelledby="input-heading">
<h2 id="input-heading">Input</h2>
$inputs
</section>
<section aria-labelledby="answer-heading">
<h2 id="answer-heading">Answer</h2>
<div id="answer" aria-live="polite"><p class="subtitle">$wait</p></div>
</section>
</main>
<footer>For programs: <code>POST /predict</code>, as <a href="openapi.json">openapi.json</a> says.
This page loads nothing from elsewhere.</footer>
</body>
</html>
""")

_DRAWING = Template("""\
<label class="drop" id="drop"><input type="file" id="files" multiple accept="image/*">
<strong>Drop pictures here</strong> or choose some</label>
<p class="label">Or draw one:</p>
<canvas id="canvas" width="$width" height="$height" aria-label="Draw here"></canvas>
<p class="tools">
<label>Ink <input type="color" id="ink" value="$ink"></label>
<label>Paper <input type="color" id="paper" value="$paper"></label>
<button type="button" id="clear">Clear</button>
</p>""")

_ROWS = """\
<label class="label" for="rows">Rows as CSV or JSON</label>
<textarea id="rows" rows="8" spellcheck="false"></textarea>
<p class="tools"><button type="button" id="send">Predict</button></p>"""

_TABLE = """\
<label class="drop" id="drop"><input type="file" id="files" accept=".csv,.tsv,.txt,.json,.jsonl">
<strong>Drop a CSV or JSON file here</strong> or choose one</label>"""


def page(described: Description) -> str:
    """The whole page as text, to be sent as UTF-8."""
    if described.takes == "pictures":
        inputs, wait = _drawing(described), "Drop or draw a picture."
    elif described.has_form:
        fields = "\n".join(_field(index, field) for index, field in enumerate(described.fields))
        form = f'<form id="form">\n<div class="fields">\n{fields}\n</div>\n<button>Predict</button>\n</form>'
        inputs, wait = f"{form}\n{_TABLE}", "Fill in a row, or drop a table."
    else:
        inputs, wait = f"{_ROWS}\n{_TABLE}", "Paste rows, or drop a table."
    return _PAGE.substitute(
        name=_text(described.name), words=_text(described.in_words), epoch=described.epoch, inputs=inputs, wait=wait
    )


def style() -> str:
    """What the page looks like: the report, and what is only here."""
    return "\n".join(files(room).joinpath("page.css").read_text("utf-8") for room in ("nnscratch.report", __package__))


def script() -> str:
    """What the page does."""
    return files(__package__).joinpath("page.js").read_text("utf-8")


def _drawing(described: Description) -> str:
    height, width, channels = described.shape
    scale = LONGEST_SIDE / max(height, width)
    # Grey pictures to learn from are mostly white on black, as MNIST is.
    ink, paper = ("#ffffff", "#000000") if channels == 1 else ("#000000", "#ffffff")
    return _DRAWING.substitute(
        width=max(1, round(width * scale)), height=max(1, round(height * scale)), ink=ink, paper=paper
    )


def _field(index: int, field: Field) -> str:
    name, value = _text(field.name), _text(field.value)
    attributes = f'id="field-{index}" data-name="{escape(field.name)}" data-kind="{field.kind}"'
    required = "" if field.may_be_empty else " required"
    if field.kind == "choice":
        empty = '<option value="">(empty)</option>' if field.may_be_empty else ""
        options = "".join(
            f'<option value="{escape(each)}"{" selected" if each == field.value else ""}>{_text(each)}</option>'
            for each in field.choices
        )
        control = f"<select {attributes}{required}>{empty}{options}</select>"
    elif field.kind == "number":
        control = f'<input type="number" step="any" {attributes} value="{value}"{required}>'
    else:
        control = f'<input type="text" {attributes} value="{value}"{required}>'
    hint = f" <small>{_text(field.hint)}</small>" if field.hint else ""
    return f'<div><label for="field-{index}">{name}{hint}</label>{control}</div>'


def _text(text: str) -> str:
    return escape(printable(text))
