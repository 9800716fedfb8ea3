"""Elements of the page. A tree that is written at the end can't forget to escape; what moves cursors is left out."""

from xml.etree import ElementTree

from distillation_operator.commands.words import one_line

Element = ElementTree.Element
Child = Element | str | None


def element(tag: str, attributes: dict[str, str | float] | None = None, *children: Child) -> Element:
    """An element of HTML or SVG. Text is put on one line; None is no child."""
    made = Element(tag, {name: _written(value) for name, value in (attributes or {}).items()})
    for child in children:
        if isinstance(child, str):
            _append_text(made, one_line_with_edges(child))
        elif child is not None:
            made.append(child)
    return made


def one_line_with_edges(text: str) -> str:
    """As ``one_line``, but a space at either end stays: it stands between words of several elements."""
    inner = one_line(text)
    left, right = text[:1].isspace(), text[-1:].isspace()
    return f"{' ' if left else ''}{inner}{' ' if right and inner else ''}"


def document(title: str, style: str, policy: str, *body: Element) -> str:
    """A whole page with its style inline, under a content security policy."""
    css = Element("style")
    css.text = style
    head = element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", None, title),
        css,
    )
    root = element("html", {"lang": "en"}, head, element("body", None, *body))
    return f"<!DOCTYPE html>\n{ElementTree.tostring(root, encoding='unicode', method='html')}\n"


def _written(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else one_line(str(value))


def _append_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text
