"""HTML pages as Markdown: headings, paragraphs, lists, tables and code of the main part; menus, scripts and footers left out."""

from collections.abc import Iterator

from bs4 import BeautifulSoup, Tag

_DROP = ("script", "style", "nav", "header", "footer", "aside", "form", "noscript", "svg", "iframe", "button")
_BLOCKS = ("h1", "h2", "h3", "h4", "h5", "h6", "p", "pre", "table", "li", "dt", "dd", "blockquote")


def html_to_markdown(text: str, fallback: str) -> tuple[str, str]:
    """(title, Markdown) of a page."""
    soup = BeautifulSoup(text, "html.parser")
    for name in _DROP:
        for tag in soup.find_all(name):
            tag.decompose()
    body = soup.find("main") or soup.find("article") or soup.find(True, {"role": "main"}) or soup.find(id="content") or soup.body or soup
    heading = body.find("h1") if isinstance(body, Tag) else None
    title = _plain(heading) if isinstance(heading, Tag) else ""
    if not title and soup.title is not None:
        title = _plain(soup.title)
    blocks = list(_blocks(body)) if isinstance(body, Tag) else []
    return title or fallback, "\n\n".join(block for block in blocks if block)


def _plain(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").replace("¶", "").split())


def _blocks(body: Tag) -> Iterator[str]:
    for tag in body.find_all(_BLOCKS):
        if tag.find_parent(("table", "pre")) is not None:
            continue
        if tag.name == "table":
            yield _table(tag)
        elif tag.name == "pre":
            yield f"```\n{tag.get_text().strip()}\n```"
        elif tag.name[0] == "h" and tag.name[1:].isdigit():
            yield f"{'#' * int(tag.name[1])} {_plain(tag)}"
        elif tag.name == "li":
            if tag.find(_BLOCKS) is None:
                yield f"- {_plain(tag)}"
        elif tag.name != "blockquote" or tag.find("p") is None:
            yield _plain(tag)


def _table(table: Tag) -> str:
    rows = [[_plain(cell).replace("|", "/") for cell in row.find_all(("th", "td"))] for row in table.find_all("tr")]
    rows = [row for row in rows if row]
    if not rows:
        return ""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|{'---|' * len(rows[0])}")
    return "\n".join(lines)
