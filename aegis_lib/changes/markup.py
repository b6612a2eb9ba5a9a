"""What of a page's markup is not its content. Words and patterns only; it reads no page."""

from __future__ import annotations

import re
from collections.abc import Mapping

LONGEST_TAG = 2_000
SKIPPED = frozenset({
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "embed", "canvas",
    "audio", "video", "map", "textarea", "datalist", "dialog", "link", "meta", "base",
})  # fmt: skip
AROUND = frozenset({"nav", "footer", "aside", "header"})
_AROUND_ROLES = frozenset(
    {"navigation", "banner", "contentinfo", "complementary", "search", "menu", "menubar"}
)
_NEVER_ROLES = frozenset({"dialog", "alertdialog", "tooltip", "progressbar", "timer"})
BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "button", "caption", "dd", "details",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5",
    "h6", "header", "hr", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "select",
    "summary", "table", "tbody", "tfoot", "thead", "tr", "ul", "html", "label",
})  # fmt: skip
CELLS = frozenset({"td", "th"})
HEADINGS = frozenset({
    "h1", "h2", "h3", "h4", "h5", "h6", "strong", "b", "p", "div", "span", "small", "em", "i", "label",
    "cite", "figcaption", "legend", "summary",
})  # fmt: skip
WHOLES = frozenset({"html", "body", "main", "article", "table", "tbody"})
"""Never left out because of something inside."""

_ADVERT_NAME = re.compile(
    r"(?:ads?|advert(?:s|isements?|ising|orial)?|adsense|adsbygoogle|ad-?(?:slot|unit|container|wrapper|box|"
    r"banner|"
    r"block|break|placement|holder|frame|area|label|space|zone)s?(?:-.{0,40})?|(?:top|side|bottom|left|right|"
    r"inline|"
    r"banner|google|native|display|text|sticky|header|footer|sidebar|mid|in-?article|dfp|"
    r"gpt)-?ads?(?:-.{0,40})?|"
    r"ads?-\d{1,20}|sponsor(?:ed|s|ship)?(?:-.{0,40})?|promoted(?:-.{0,40})?|taboola(?:-.{0,40})?|"
    r"outbrain(?:-.{0,40})?|div-gpt-ad.{0,60}|google-ads.{0,60}|"
    r"(?:cookies?|consent|gdpr|privacy)-?(?:banner|notice|consent|bar|popup|policy-banner|message|wall|"
    r"overlay)?"
    r"(?:-.{0,20})?|newsletter(?:-.{0,40})?|subscribe-?(?:box|form|banner|popup)|"
    r"(?:social|share|sharing)-?(?:buttons?|bar|links?|icons?|tools?|media|widget|box|list)|social|sharing|"
    r"(?:related|recommend(?:ed|ations?)|suggested|similar|popular|trending|more|read-next|also-(?:like|"
    r"bought|viewed)|"
    r"you-may-(?:also-)?like)-?(?:posts?|articles?|products?|items?|stories|links?|content|news|reading|"
    r"videos?|list)"
    r"|related|recommendations|recently-viewed(?:-.{0,20})?|breadcrumbs?|pagination|skip-?(?:link|nav)"
    r"|testimonial-?(?:carousel|rotator|slider)|quote-of-the-day)",
    re.IGNORECASE,
)
_ADVERT_LABEL = re.compile(
    r"(?:advertisements?|advertising|ads?|ad feedback|sponsored(?: by .{1,40}| content| links?)?|promoted|"
    r"paid (?:content|partnership)|anzeigen?|werbung|publicit\u00e9|publicidad|annonces?)[:.]?",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"(?:(?:people|customers|readers|others) (?:who|also) .{0,60}|you (?:may|might|could) (?:also )?(?:like|"
    r"enjoy).{0,30}|"
    r"(?:related|recommended|suggested|similar|popular|trending|most (?:read|popular|viewed)|recently viewed|"
    r"more)"
    r"(?: (?:from|on|in|for|by|now|today|this week|to read|posts?|articles?|products?|items?|stories|links?|"
    r"news|"
    r"reading|topics?).{0,40})?|read (?:next|more)|see also|don't miss|what to read next|follow us.{0,20}|"
    r"share this.{0,20})"
    r"[:.]?",
    re.IGNORECASE,
)
_HIDES = re.compile(
    r"display\s{0,3}:\s{0,3}none|visibility\s{0,3}:\s{0,3}hidden|content-visibility\s{0,3}:\s{0,3}hidden",
    re.IGNORECASE,
)

# Comments and what is never text go before the parser sees it; a tag longer than any real one keeps its name
# only. Each alternative ends at the end of the page where its end is missing, so that no place is looked at
# twice.
_BEFORE_PARSING = re.compile(
    r"""<!--(?:-?>|.*?(?:--!?>|\Z))
    |<(?P<raw>script|style|noscript|template|iframe|textarea|svg|xmp|noembed|noframes)\b[^>]*+(?:>|\Z).*?(?:</(?P=raw)\b[^>]*+(?:>|\Z)|\Z)
    |<(?P<name>[a-zA-Z][a-zA-Z0-9:-]*+)(?P<rest>(?:[^>=]++|=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))?+)*+)(?:>|\Z)""",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def prepared(html: str) -> str:
    """The page without comments, scripts and the attributes of tags beyond `LONGEST_TAG`; linear time."""
    return _BEFORE_PARSING.sub(_kept, html.replace("\0", ""))


def _kept(found: re.Match[str]) -> str:
    name = found["name"]
    if name is None:
        return " "
    rest = found["rest"]
    if not rest or len(rest) <= LONGEST_TAG:
        return found[0]
    return f"<{name}>"


def is_hidden(name: str, attributes: Mapping[str, str]) -> bool:
    """Whether a reader never sees what stands in such an element."""
    return (
        name in SKIPPED
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role", "") in _NEVER_ROLES
        or bool(_HIDES.search(attributes.get("style", "")))
    )


def is_around(name: str, attributes: Mapping[str, str]) -> bool:
    """Whether it is a menu, a header, a footer: what stands on every page of a site."""
    return name in AROUND or attributes.get("role", "") in _AROUND_ROLES


def is_advertisement(name: str, attributes: Mapping[str, str]) -> bool:
    """Whether an element calls itself an advertisement, a cookie notice, or a list of what else there is."""
    if "sponsored" in attributes.get("rel", "").split():
        return True
    if any(
        key.startswith(("data-ad-", "data-google-query", "data-ad_")) or key == "data-ad"
        for key in attributes
    ):
        return True
    label = attributes.get("aria-label", "")
    if label and _ADVERT_LABEL.fullmatch(label[:80].strip()):
        return True
    if name in WHOLES:
        return False
    named = f"{attributes.get('id', '')} {attributes.get('class', '')}"[:500].replace("_", "-")
    return any(_ADVERT_NAME.fullmatch(word) for word in named.split())


def labels_an_advertisement(text: str) -> bool:
    """Whether a line alone says that an advertisement follows."""
    return len(text) <= 60 and bool(_ADVERT_LABEL.fullmatch(text))


def heads_what_is_elsewhere(text: str) -> bool:
    """Whether a heading stands over links to other pages."""
    return len(text) <= 80 and bool(_ELSEWHERE.fullmatch(text))
