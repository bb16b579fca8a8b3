"""The demo's page: scenes with their captions, one file, no network.

Needs no extra: string.Template, and html.escape for everything that came from data.
"""

import base64
import io
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from miacap.captioning import Evaluation
from miacap.data import Dataset
from miacap.experiments.real_photos import Seen
from miacap.files import atomic
from miacap.visual import decode

_CARDS = 24
_THUMBNAIL = 224

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>miacap demo</title>
<style>
:root { color-scheme: light dark; --line: #8884; --quiet: #667; }
@media (prefers-color-scheme: dark) { :root { --quiet: #aab; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
p.lead { color: var(--quiet); margin: 0 0 1.5rem; max-width: 46rem; }
table { border-collapse: collapse; margin: 0 0 .75rem; }
p.note { color: var(--quiet); font-size: .8rem; margin: 0 0 .25rem; max-width: 46rem; }
p.note { overflow-wrap: anywhere; }
p.note + .cards { margin-top: 1.5rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th:last-child, td:last-child { padding-right: 0; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); }
article { border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
article img { display: block; width: 100%; height: auto; aspect-ratio: 1; object-fit: cover; }
dl { margin: 0; padding: .8rem 1rem 1rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; }
figure { margin: 0 0 1.5rem; }
figure img { display: block; max-width: 100%; height: auto; border-radius: .6rem; }
figcaption { margin-top: .4rem; }
figcaption small { color: var(--quiet); display: block; }
dt { color: var(--quiet); font-size: .8rem; }
dd { margin: 0 0 .5rem; }
</style>
</head>
<body>
<h1>miacap demo</h1>
$photos
<h2>A captioner trained here</h2>
<p class="lead">Scenes drawn by the program, captioned twice by the same captioner: fed the
plain regions, and fed regions and concepts that refined each other (combined).
A short training: an example of the way, no evidence for either.</p>
$table
<div class="cards">
$cards
</div>
</body>
</html>
""")

_PHOTOS = """<h2>Photos</h2>
<p class="lead">Captioned by the captioner that is installed. Beside each photo: where it looked
when it said a word, red where most. Attention is no explanation by itself.</p>"""

_FIGURE = Template("""<figure>
<img src="data:image/jpeg;base64,$image" alt="$alt" width="$width" height="$height">
<figcaption>$caption$concepts<small>$credit (<a href="$page">page</a>$licence)</small></figcaption>
</figure>""")

_CARD = Template("""<article>
<img src="data:image/jpeg;base64,$image" alt="$alt" width="224" height="224">
<dl>
$captions
<dt>a reference</dt><dd>$reference</dd>
</dl>
</article>""")


def write_page(
    path: str | os.PathLike[str],
    dataset: Dataset,
    results: Mapping[str, Evaluation],
    table: str,
    photos: Sequence[Seen] = (),
    pictures: Path | None = None,
) -> None:
    """Write the page: photos first, the table, then a card for each of the first test scenes.

    Args:
        path: of the page.
        dataset: the scenes.
        results: of each arm.
        table: of their scores, Markdown.
        photos: what the installed captioner saw in them.
        pictures: folder of their pictures.
    """
    captions = dataset.captions
    rows = {arm: {row.id: row.caption or "" for row in r.rows} for arm, r in results.items()}
    names = [row.id for row in next(iter(results.values())).rows][:_CARDS]
    cards = [
        _card(name, dataset.photos.read(name), captions[name][0], {a: rows[a][name] for a in rows})
        for name in names
    ]
    with atomic(path, "w") as file:
        file.write(
            _PAGE.substitute(
                photos=_photos(photos, pictures), table=_table(table), cards="\n".join(cards)
            )
        )


def _photos(photos: Sequence[Seen], pictures: Path | None) -> str:
    """Give the part of the page with photos; empty where there are none."""
    if not photos or pictures is None:
        return ""
    figures = []
    for one in photos:
        image = decode((pictures / one.picture).read_bytes(), one.picture)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        concepts = f"<small>concepts: {escape(', '.join(one.concepts))}</small>"
        words = f"; beside it where the captioner looked at {', '.join(one.words)}"
        figures.append(
            _FIGURE.substitute(
                image=base64.b64encode(buffer.getvalue()).decode("ascii"),
                alt=escape(one.caption + (words if one.words else "")),
                width=image.width,
                height=image.height,
                caption=escape(one.caption),
                concepts=concepts if one.concepts else "",
                credit=escape(one.credit),
                page=escape(one.page),
                licence=(
                    f', <a href="{escape(one.licence_page)}">licence</a>'
                    if one.licence_page
                    else ""
                ),
            )
        )
    return "\n".join([_PHOTOS, *figures])


def _card(name: str, photo: bytes, reference: str, captions: Mapping[str, str]) -> str:
    image = decode(photo, name)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    lines = [f"<dt>{escape(arm)}</dt><dd>{escape(text)}</dd>" for arm, text in captions.items()]
    return _CARD.substitute(
        image=base64.b64encode(buffer.getvalue()).decode("ascii"),
        alt=escape(reference),
        captions="\n".join(lines),
        reference=escape(reference),
    )


def _table(markdown: str) -> str:
    rows = [line.strip("|").split("|") for line in markdown.splitlines() if line.startswith("|")]
    head, _, *body = rows
    lines = ["<tr>" + "".join(f"<th>{escape(c.strip())}</th>" for c in head) + "</tr>"]
    for row in body:
        lines.append("<tr>" + "".join(f"<td>{escape(c.strip())}</td>" for c in row) + "</tr>")
    # Numbers compare only where signatures agree, so the page keeps the notes below the table.
    notes = [line.replace("`", "") for line in markdown.splitlines() if line[:1] not in ("", "|")]
    lines = ["<table>", *lines, "</table>"]
    return "\n".join([*lines, *(f'<p class="note">{escape(note)}</p>' for note in notes)])
