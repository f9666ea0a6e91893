"""HTML that cannot forget to escape: a plain string is text, and only :class:`Html` is markup."""

import html
import re


class Html(str):
    """Markup that is safe to insert as it is."""

    __slots__ = ()


Content = str | None
"""Text to be escaped, markup, or nothing."""

_VOID = ("meta", "br", "img")


def el(name: str, /, *content: Content, **attributes: str | int | None) -> Html:
    """An element with its content.

    Args:
      name: of the element.
      content: children; strings are escaped unless they are :class:`Html`.
      attributes: with a trailing or inner underscore where Python needs one (``class_``, ``aria_label``);
        None leaves one out.

    >>> print(el("td", "a < b", class_="number"))
    <td class="number">a &lt; b</td>
    """
    pairs = [
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    start = f"<{name}{''.join(pairs)}>"
    return Html(start if name in _VOID else f"{start}{join(*content)}</{name}>")


def join(*content: Content) -> Html:
    """Pieces one after the other, text escaped.

    >>> print(join("a & b", el("br"), None))
    a &amp; b<br>
    """
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in content if part is not None))


def fold(summary: str, content: Html) -> Html:
    """Content behind a line of words that opens it."""
    return el("details", el("summary", summary), content)


def definitions(pairs: list[tuple[str, str]]) -> Html:
    """Names and what is said of them."""
    return el("dl", *(part for name, words in pairs for part in (el("dt", name), el("dd", words))))


def link(address: str, text: str | None = None) -> Html:
    """A link where the address is one of the web or a relative file, else its text alone."""
    shown = text or re.sub(r"^https?://(www\.)?", "", address)
    if re.match(r"https?://|[\w./-]+$", address):
        return el("a", shown, href=address)
    return join(shown)


def plot_links(name: str) -> list[Content]:
    """Where a plot's files are."""
    return [link(f"plots/{name}.png", "PNG"), ", ", link(f"plots/{name}.svg", "SVG")]


def inline_svg(svg: str, name: str, description: str) -> Html:
    """An SVG file's content as an image within a page, scaled by the page and told to those who cannot see it.

    Its identifiers get a prefix, because several images share a page.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    assert size is not None
    start = (
        f'<svg role="img" aria-label="{html.escape(description)}" viewBox="{size[0][9:-1]}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return Html(start + body[body.index(">") + 1 :])
