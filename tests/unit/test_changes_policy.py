"""What a page says, and which differences are changes."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from aegis_lib.changes.model import Change, ContentRules, Noise, PageText, Topic
from aegis_lib.changes.policy import compare, read
from tests import changing_pages

RULES = ContentRules(watch=True)


def page(body: str, title: str = "A page", head: str = "") -> bytes:
    return (
        f"<!doctype html><html><head><title>{title}</title>{head}</head><body>{body}</body></html>".encode()
    )


def says(body: str, rules: ContentRules = RULES) -> list[str]:
    return list(read(page(body), "text/html; charset=utf-8", rules).lines)


def change(before: str, after: str, rules: ContentRules = RULES) -> Change | None:
    return compare(read(page(before), "text/html", rules), read(page(after), "text/html", rules), rules)


def test_scripts_styles_comments_and_what_is_hidden_are_not_read() -> None:
    body = (
        "<script>var a='<p>no</p>'</script><style>p{}</style><!-- no --><p hidden>no</p>"
        "<p style='display: none'>no</p>"
        "<template>no</template><div aria-hidden=true>no</div><noscript>no</noscript><p>yes</p>"
    )
    assert says(body) == ["yes"]


def test_menus_headers_and_footers_are_not_the_main_text_unless_asked_for() -> None:
    main = "<main><header>Head</header><p>Text</p></main>"
    body = f"<header>Logo</header><nav>Home</nav>{main}<footer>Foot</footer>"
    assert says(body) == ["Head", "Text"]
    assert says(body, ContentRules(whole_page=True)) == ["Logo", "Home", "Head", "Text", "Foot"]


def test_a_main_element_with_nearly_nothing_in_it_is_not_taken_for_the_text() -> None:
    assert says(f"<main>x</main><div>{'Long text. ' * 9}</div>")[0] == "x"
    assert len(says(f"<main>x</main><div>{'Long text. ' * 9}</div>")) == 2


def test_rows_of_tables_are_lines_and_long_paragraphs_are_sentences() -> None:
    assert says("<table><tr><th>Plan<th>Price</tr><tr><td>Basic<td>$5</tr></table>") == [
        "Plan | Price",
        "Basic | $5",
    ]
    sentences = [f"Sentence number {n} says something of some length about it." for n in range(8)]
    assert says(f"<p>{' '.join(sentences)}</p>") == sentences


def test_only_what_fits_the_selector_counts() -> None:
    body = "<nav><p class=x>a</p></nav><div id=price><b>b</b> <i>c</i></div><p>d</p>"
    assert says(body, ContentRules(selector="#price, nav > .x")) == ["a", "b c"]
    assert says(body, ContentRules(selector="div", ignore_selectors=("i",))) == ["b"]
    assert says(body, ContentRules(ignore_selectors=("#price b", "p"))) == ["c"]


def test_a_selector_that_fits_nothing_any_more_is_a_change_and_so_is_its_return() -> None:
    rules = ContentRules(selector="#price")
    gone = change("<p id=price>$5</p>", "<p>$5</p>", rules)
    back = change("<p>$5</p>", "<p id=price>$5</p>", rules)
    assert gone is not None
    assert (gone.summary, gone.topics) == (
        "Nothing on the page fits the selector #price any more.",
        (Topic.GONE,),
    )
    assert back is not None
    assert back.topics == (Topic.BACK,)
    assert change("<p>a</p>", "<p>b</p>", rules) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Last updated: 12 May 2026 14:30", "Last updated: 13 May 2026 09:01"),
        ("Updated on May 12th, 2026 at 2:30 pm", "Updated on June 1st, 2026 at 9:00 am"),
        ("Posted 3 hours ago by Anna", "Posted a day ago by Anna"),
        ("Page generated in 0.123 seconds", "Page generated in 1.9 seconds"),
        ("1,204 views", "1,377 views"),
        ("12 people are viewing this right now", "9 people are viewing this right now"),
        ("Comments (12)", "Comments (13)"),
        ("Offer ends in 02:13:44", "Offer ends in 01:59:02"),
        ("Request ID: 8f3a9c22aa01", "Request ID: 77ab01c9d2e3"),
        ("\u00a9 2025 Works", "\u00a9 2026 Works"),
        ("Zuletzt aktualisiert: 12.05.2026 14:30 Uhr", "Zuletzt aktualisiert: 13.05.2026 08:00 Uhr"),
        ("It is currently 14:03 in London", "It is currently 15:11 in London"),
        ("You are visitor #10233", "You are visitor #10240"),
        ("Rated by 1,204 customers", "Rated by 1,260 customers"),
        ("Your IP address is 203.0.113.7", "Your IP address is 198.51.100.9"),
        ("Session expires in 29:58", "Session expires in 12:11"),
        ("\u2764 204", "\u2764 219"),
        ("Seite erstellt in 0,23 Sekunden", "Seite erstellt in 0,31 Sekunden"),
        ("Il y a 5 minutes", "Il y a 12 minutes"),
        ("\u201cQuoted\u201d \u2013 text", '"Quoted" - text'),
        ("one   two\u00a0three", "one two three"),
        ("so\u00adft \u200bsigns", "soft signs"),
    ],
)
def test_what_changes_by_itself_is_no_change(before: str, after: str) -> None:
    assert change(f"<p>Text</p><p>{before}</p>", f"<p>Text</p><p>{after}</p>") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("12 left in stock", "3 left in stock"),
        ("$1,204.00", "$1,377.00"),
        ("Version 4.1", "Version 4.2"),
        ("Doors open 12 May 2026", "Doors open 13 May 2026"),
        ("Open 9:00-18:00", "Open 10:00-18:00"),
        ("Call +44 20 7946 0001", "Call +44 20 7946 0002"),
        ("12 of 40 places taken", "13 of 40 places taken"),
        ("In stock", "Sold out"),
        ("10 downloads per day allowed", "20 downloads per day allowed"),
        ("Up to 5 comments each", "Up to 9 comments each"),
        ("Time: 12 May 2026 19:00", "Time: 13 May 2026 19:00"),
        ("Ships in 3 days", "Ships in 5 days"),
        ("Only 3 seats left", "Only 1 seat left"),
        ("Interest rate 3.5 %", "Interest rate 3.75 %"),
        ("The rule may apply.", "The rule must apply."),
        ("\u2705", "\u274c"),
        ("Heading", "heading"),
    ],
)
def test_what_somebody_changed_is_a_change(before: str, after: str) -> None:
    assert change(f"<p>Text</p><p>{before}</p>", f"<p>Text</p><p>{after}</p>") is not None


def test_noise_can_be_kept_as_content_kind_by_kind() -> None:
    before, after = "<p>Text</p><p>12 views</p>", "<p>Text</p><p>13 views</p>"
    assert change(before, after) is None
    found = change(before, after, ContentRules(keep=(Noise.COUNTERS,)))
    assert found is not None
    assert found.diff == ("  Text", "- 12 views", "+ 13 views")


def test_own_patterns_are_noise_too() -> None:
    rules = ContentRules(ignore_patterns=(r"Lucky number \d+",))
    assert change("<p>a Lucky number 1 b</p>", "<p>a Lucky number 2 b</p>", rules) is None
    assert change("<p>a Lucky number 1 b</p>", "<p>a Lucky number 2 c</p>", rules) is not None


def test_lines_that_moved_are_a_change_only_where_order_matters() -> None:
    before, after = "<li>a<li>b<li>c", "<li>c<li>a<li>b"
    assert change(before, after) is None
    found = change(before, after, ContentRules(order_matters=True))
    assert found is not None
    assert (found.topics, found.summary) == ((Topic.ORDER,), "Lines stand in another order.")


def test_the_same_words_in_other_lines_are_no_change() -> None:
    assert change("<p>one two three four</p>", "<p>one two</p><p>three four</p>") is None


def test_changes_below_the_least_are_not_told() -> None:
    text = "".join(f"<p>Line number {n} of a long page</p>" for n in range(50))
    before, after = f"{text}<p>cat</p>", f"{text}<p>dog</p>"
    found = change(before, after)
    assert found is not None
    assert 0 < found.significance < 0.01
    assert change(before, after, ContentRules(min_change=0.05)) is None


def test_a_change_says_in_a_sentence_what_changed() -> None:
    body = "<p>Lamp</p><p>Price: {}</p><p>{}</p><p>It shines.</p>{}"
    found = change(
        body.format("$5.00", "In stock", ""), body.format("$6.50", "Sold out", "<p>New words here</p>")
    )
    assert found is not None
    assert (
        found.summary == 'A price changed from $5.00 to $6.50; "In stock" became "Sold out"; 1 line is new.'
    )
    assert found.topics == (Topic.PRICE, Topic.AVAILABILITY, Topic.TEXT)
    assert found.diff == (
        "  Lamp", "- Price: $5.00", "+ Price: $6.50", "- In stock", "+ Sold out", "  It shines.",
        "+ New words here",
    )  # fmt: skip
    assert (found.added, found.removed) == (3, 2)


def test_a_title_is_compared_with_the_title() -> None:
    before = read(page("<p>Text</p>", "(3) Old"), "text/html", RULES)
    badge = read(page("<p>Text</p>", "(7) Old"), "text/html", RULES)
    after = read(page("<p>Text</p>", "(3) New"), "text/html", RULES)
    assert compare(before, badge, RULES) is None
    found = compare(before, after, RULES)
    assert found is not None
    assert (found.topics, found.summary) == ((Topic.TITLE,), 'The title changed from "Old" to "New".')


def test_advertisements_and_lists_of_other_pages_are_left_out() -> None:
    body = (
        "<div class=ad-slot>Buy</div><div class='css-1x'><small>Sponsored</small><p>Try it</p></div>"
        "<section><h3>Related articles</h3><ul><li><a href=1>First one</a></ul></section>"
        "<div id=cookie-banner>We use cookies</div><p class=share-price>Shares at $5</p><p>Text</p>"
    )
    assert says(body) == ["Shares at $5", "Text"]


def test_a_heading_of_that_name_over_real_text_leaves_the_text() -> None:
    assert says("<section><h2>More information</h2><p>Opening at nine.</p></section>") == [
        "More information", "Opening at nine.",
    ]  # fmt: skip


def test_a_large_rewrite_is_shown_in_part() -> None:
    before = "".join(f"<p>alpha {n}</p>" for n in range(400))
    after = "".join(f"<p>omega {n} other</p>" for n in range(400))
    found = change(before, after)
    assert found is not None
    assert len(found.diff) == 61
    assert found.diff[-1].endswith("more lines")
    assert found.significance > 0.4


def test_a_reading_survives_being_stored() -> None:
    found = read(page("<p>a\u202e\u0000b \U0001f600</p>"), "text/html", RULES)
    assert PageText.from_stored(found.stored()) == found
    assert found.lines == ("ab \U0001f600",)
    assert found.text == "A page\nab \U0001f600"
    for broken in ("", "{}", "null", '{"digest": 3}'):
        assert PageText.from_stored(broken) is None


def test_readings_of_two_ways_are_not_compared() -> None:
    one = read(page("<p id=a>x</p>"), "text/html", RULES)
    two = read(page("<p id=a>y</p>"), "text/html", ContentRules(selector="#a"))
    assert compare(one, two, RULES) is None


def test_equal_digests_mean_that_nothing_changed() -> None:
    one, two = (read(page(f"<p>Text</p><p>{n} views</p>"), "text/html", RULES) for n in (1, 2))
    assert one.digest == two.digest
    assert one.lines != two.lines


def test_json_is_read_by_its_keys_whatever_their_order() -> None:
    def of(value: object) -> PageText:
        return read(json.dumps(value).encode(), "application/json", RULES)

    before = of({"name": "x", "items": [{"price": 5}, {"price": 7}]})
    assert before.lines == ("items[].price: 5", "items[].price: 7", "name: x")
    assert compare(before, of({"items": [{"price": 7}, {"price": 5}], "name": "x"}), RULES) is None
    found = compare(before, of({"name": "x", "items": [{"price": 5}, {"price": 8}]}), RULES)
    assert found is not None
    assert (
        found.diff[-2:] == ("- items[].price: 7", "+ items[].price: 8") or "+ items[].price: 8" in found.diff
    )


def test_what_is_no_text_is_known_by_its_checksum() -> None:
    before, after = (read(b"%PDF\0" + bytes([n]), "application/pdf", RULES) for n in (1, 2))
    assert before.lines[0].startswith("application/pdf, 6 bytes, sha256-")
    assert compare(before, after, RULES) is not None
    assert compare(before, before, RULES) is None


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"selector": "p:nth-child(2)"}, "cannot be read from ':nth-child"),
        ({"selector": "a + b"}, "cannot be read from '+ b'"),
        ({"selector": " "}, "no CSS selector"),
        ({"ignore_selectors": ("p,",)}, "cannot be read"),
        ({"ignore_patterns": ("(",)}, "no pattern of RE2"),
        ({"ignore_patterns": (r"(a)\1",)}, "look-around and back-references are not offered"),
        ({"min_change": 2}, "less than or equal to 1"),
    ],
)
def test_rules_that_cannot_work_are_refused_with_the_reason(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ContentRules(**keys)
    assert said in str(refusal.value)


@pytest.mark.parametrize("kind", changing_pages.KINDS)
def test_made_up_pages_with_all_their_noise_do_not_change(kind: str) -> None:
    for seed in range(3):
        noisy = changing_pages.make(kind, seed).with_noise(*changing_pages.NOISE)
        before, after = (read(noisy.html(visit).encode(), "text/html", RULES) for visit in (1, 2))
        assert compare(before, after, RULES) is None, (kind, seed)


@pytest.mark.parametrize("signal", changing_pages.SIGNALS)
def test_every_change_of_a_made_up_page_is_found_in_all_its_noise(signal: str) -> None:
    tried = 0
    for kind in changing_pages.KINDS:
        noisy = changing_pages.make(kind, 4).with_noise(*changing_pages.NOISE)
        changed = noisy.with_signal(signal)
        if changed is not None:
            tried += 1
            before = read(noisy.html(1).encode(), "text/html", RULES)
            assert compare(before, read(changed.html(2).encode(), "text/html", RULES), RULES), (signal, kind)
    assert tried
