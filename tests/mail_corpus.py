"""A mailbox of made-up mail, labelled: for tests, for the bench, and to be read by a person.

    python -m tests.mail_corpus FOLDER [--count 560]

writes one Maildir for each category into FOLDER. The letters stand in tests/mail_corpus.txt; what is drawn by
lot (names, sums, dates, charsets, MIME, who sends, what the receiving server says of him, damage) comes from
a seed, so that the same call gives the same bytes. No person, firm or host in it exists.
"""
# ruff: noqa: RUF001 - people write in their own alphabets, and some in a mixture

from __future__ import annotations

import argparse
import mailbox
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from pathlib import Path

from aegis_lib.mail.model import Category, RulesConfig

READER = "reader@example.org"
SERVER = "mx.example.org"
END = datetime(2026, 1, 25, 6, 0, tzinfo=UTC)
DAYS = 60
TEXTS = Path(__file__).with_suffix(".txt")

PERSONS = {
    "en": (
        ("Mara K.", "mara@birch.example"),
        ("Tom W.", "tom@linden.example"),
        ("Ines A.", "ines@example.net"),
    ),
    "de": (("Jonas B.", "jonas@birch.example"), ("Käthe M.", "kaethe@ahorn.example")),
    "fr": (("Hélène D.", "helene@erable.example"), ("Luc P.", "luc@example.net")),
    "es": (("Íñigo R.", "inigo@abedul.example"),),
    "it": (("Chiara L.", "chiara@betulla.example"),),
    "pt": (("João S.", "joao@faia.example"),),
    "nl": (("Sanne V.", "sanne@berk.example"),),
    "pl": (("Łukasz Z.", "lukasz@brzoza.example"),),
    "ru": (("Ольга Н.", "olga@bereza.example"),),
    "ja": (("山田 (設計)", "yamada@shirakaba.example"),),
    "zh": (("李 (采购)", "li@baihua.example"),),
}
KNOWN = frozenset(address for people in PERSONS.values() for _, address in people)
"""Addresses that the reader has written to."""
RULES = RulesConfig(own_addresses=(READER,), trusted_servers=(SERVER,))
SHOPS = ("kettle-and-co.example", "nordlicht-versand.example", "papierladen.example", "outdoor-hut.example")
FIRMS = ("quarry-soft.example", "ledgerline.example", "brightdesk.example")
WORDS = {
    "project": ("Lindenhof", "pager", "atlas", "orchard", "ferry-9"),
    "system": ("the order database", "the login server", "billing", "the web shop"),
    "host": ("db2.example.org", "web-03.example.org", "nas.example.org"),
    "product": ("wool blanket", "head torch", "oak shelf", "tea kettle", "rain jacket"),
    "city": ("Bremen", "Porto", "Ghent", "Turku", "Lyon", "Girona", "Lucca"),
    "street": ("Mill Lane", "Lindenweg", "Quay Street"),
    "item": ("the travel costs", "the printer lease", "the licences"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
    "time": ("07:40", "09:15", "11:00", "14:30", "16:45"),
}
LOCAL = {
    "de": {
        "day": ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag"),
        "system": ("die Auftragsdatenbank", "der Anmeldeserver", "die Lagerverwaltung"),
        "product": ("Wolldecke", "Stirnlampe", "Eichenregal", "Teekessel"),
    },
    "fr": {
        "day": ("lundi", "mardi", "mercredi", "jeudi", "vendredi"),
        "system": ("Le serveur de commandes", "La base clients"),
        "product": ("plaid en laine", "lampe frontale", "bouilloire"),
    },
    "es": {
        "day": ("lunes", "martes", "jueves", "viernes"),
        "product": ("Manta de lana", "Tetera", "Linterna"),
    },
    "it": {
        "day": ("lunedì", "martedì", "giovedì"),
        "product": ("coperta di lana", "teiera", "lampada frontale"),
    },
    "pt": {"day": ("segunda", "terça", "quinta"), "product": ("manta de lã", "chaleira")},
    "nl": {"day": ("maandag", "woensdag", "vrijdag"), "product": ("wollen deken", "theeketel")},
    "pl": {"day": ("poniedziałek", "środa", "piątek"), "product": ("koc", "czajnik")},
    "ru": {"day": ("пятницы", "среды", "понедельника"), "product": ("пледы", "чайники", "налобные фонари")},
    "ja": {"day": ("月曜日", "水曜日", "金曜日"), "product": ("ウールの毛布", "やかん", "ヘッドライト")},
    "zh": {"day": ("周一", "周三", "周五"), "product": ("羊毛毯", "茶壶", "头灯")},
}
"""What differs from `WORDS` in letters of other languages."""
_CHARSETS = {"latin1": "iso-8859-1", "koi8": "koi8-r", "iso2022jp": "iso-2022-jp", "gb": "gb18030"}
_CHOICE = re.compile(r"\[([^\[\]|]*(?:\|[^\[\]|]*)+)\]")


@dataclass(frozen=True)
class Letter:
    """A message with its label. `answers` is the id of the reader's own mail that it answers, if it does."""

    raw: bytes
    category: Category
    kind: str
    language: str
    received_at: datetime
    answers: str = ""


@dataclass(frozen=True)
class Template:
    """A letter as it stands in the file."""

    category: Category
    kind: str
    language: str
    sender: str
    flags: frozenset[str]
    subject: str
    text: str

    @property
    def attachment(self) -> str:
        return next((flag[4:] for flag in self.flags if flag.startswith("att=")), "")

    @property
    def calendar(self) -> str:
        return next((flag[4:] for flag in self.flags if flag.startswith("cal=")), "")


def templates() -> list[Template]:
    """The letters of the file, in its order."""
    found = []
    for block in TEXTS.read_text(encoding="utf-8").split("\n@ ")[1:]:
        head, subject, *lines = block.strip("\n").split("\n")
        category, kind, language, sender, flags = (part.strip() for part in head.split("|"))
        text = "\n".join(lines).strip()
        found.append(
            Template(Category(category), kind, language, sender, frozenset(flags.split()), subject, text)
        )
    return found


def generate(count: int = 560, *, seed: int = 7, end: datetime = END) -> list[Letter]:
    """So many letters, the oldest first, over the last sixty days before `end`. Each template comes about
    equally often."""
    chance = random.Random(seed)
    known = templates()
    order: list[Template] = []
    while len(order) < count:
        order += chance.sample(known, len(known))
    chance.shuffle(order := order[:count])
    times = sorted(end - timedelta(seconds=chance.randrange(DAYS * 86_400)) for _ in order)
    return [
        _Writer(chance, each, number, at).letter()
        for number, (each, at) in enumerate(zip(order, times, strict=True))
    ]


def sent(letters: Sequence[Letter]) -> list[bytes]:
    """The reader's own mails that letters answer, as they would lie in his folder of sent mail."""
    found = []
    for letter in letters:
        if letter.answers:
            message = EmailMessage(policy=SMTP)
            message["From"], message["To"] = READER, "somebody@birch.example"
            message["Subject"], message["Message-ID"] = "My question", letter.answers
            message["Date"] = format_datetime(letter.received_at - timedelta(hours=5))
            message.set_content("See below.\n")
            found.append(message.as_bytes())
    return found


class _Writer:
    """Writes one letter."""

    def __init__(self, chance: random.Random, template: Template, number: int, at: datetime) -> None:
        self.chance, self.template, self.number, self.at = chance, template, number, at
        words = {**WORDS, **LOCAL.get(template.language, {})}
        self.fill: dict[str, str] = {name: chance.choice(choices) for name, choices in words.items()}
        self.fill |= {
            "amount": f"{chance.choice((19, 49, 120, 380, 1250, 4800))}.{chance.choice((10, 50, 90))} EUR",
            "percent": str(chance.choice((15, 20, 30, 50, 70, 97))),
            "number": str(chance.randrange(1000, 99_999)),
            "small": str(chance.randrange(101, 989)),
            "date": (at + timedelta(days=chance.randrange(2, 30))).strftime("%d.%m.%Y"),
            "ip": f"203.0.113.{chance.randrange(1, 254)}",
            "shop": chance.choice(FIRMS if template.sender in {"saas", "stranger-firm"} else SHOPS),
        }
        self.name, self.address, self.verdict, self.headers = self._sender()
        self.fill["me"] = self.name if template.sender == "office" else self.name.split(" ")[0]

    def written(self, text: str) -> str:
        for _ in range(3):
            text = _CHOICE.sub(lambda found: self.chance.choice(found[1].split("|")), text)
        return re.sub(r"\{(\w+)\}", lambda found: self.fill[found[1]], text)

    def _sender(self) -> tuple[str, str, str, dict[str, str]]:
        """Name, address, what the receiving server says, further headers."""
        chance, shop, number = self.chance, self.fill["shop"], self.fill["number"]
        language = self.template.language
        name, address = chance.choice(PERSONS.get(language, PERSONS["en"]))
        passed = "pass" if chance.random() < 0.93 else "none"
        match self.template.sender:
            case "person":
                return name, address, passed, {"User-Agent": "Mutt/2.2"} if chance.random() < 0.3 else {}
            case "own":
                return "Robin", READER, "pass", {}
            case "stranger":
                return "Paulo G.", f"paulo.g{number}@uni.example", passed, {}
            case "stranger-firm":
                return (
                    chance.choice(("Kim", "Alex", "Jo")) + " T.",
                    f"kim@{shop}",
                    "pass",
                    {"X-Mailer": "Outreach 4"},
                )
            case "vendor":
                return f"Accounts {shop.partition('.')[0]}", f"billing@{shop}", passed, {}
            case "office":
                return "Frau Weber" if language == "de" else "Ms Hall", "office@schule.example", passed, {}
            case "news":
                house = {"de": "bibliothek", "es": "barrio"}.get(language, "weekly")
                return house.title(), f"news@{house}.example", passed, {}
            case "shop" | "saas":
                return shop.partition(".")[0].replace("-", " ").title(), f"news@mail.{shop}", passed, {}
            case "service":
                return (
                    "Notifications",
                    "no-reply@service.example",
                    passed,
                    {"Auto-Submitted": "auto-generated"},
                )
            case "bank":
                return "Ihre Bank", "no-reply@bank.example", "pass", {}
            case "monitor":
                return "monitoring", "monitoring@example.org", "pass", {"Auto-Submitted": "auto-generated"}
            case "forge":
                return (
                    f"{name} (forge)",
                    "notifications@forge.example.net",
                    "pass",
                    {"X-Forge-Reason": "review"},
                )
            case "bounce":
                return (
                    "Mail Delivery System",
                    f"MAILER-DAEMON@{SERVER}",
                    "none",
                    {"Auto-Submitted": "auto-replied"},
                )
            case "list":
                return (
                    name,
                    address,
                    chance.choice(("pass", "none")),
                    {"Precedence": "list", "List-Post": "<mailto:all@lists.example.net>"},
                )
            case "phisher":
                if "fail" in self.template.flags:
                    return shop.title(), f"security@{shop}", "fail", {}
                return (
                    f"{shop} Support",
                    f"support@{shop.replace('.', '-')}.invalid",
                    chance.choice(("none", "pass")),
                    {},
                )
            case "boss-impostor":
                return (
                    "Mara K.",
                    f"ceo.office{number}@freemail.example",
                    "pass",
                    {"Reply-To": f"desk{number}@quick.invalid"},
                )
            case "spammer":
                host = f"{chance.choice(('promo', 'mx', 'win', 'best'))}{number}.invalid"
                name = chance.choice(
                    ("Info", "Dr. Best", "Admin", "Kettle Pаy", "reader@example.org", "M. Winner")
                )
                return (
                    name,
                    f"{chance.choice(('info', 'x', 'no-reply'))}{number}@{host}",
                    chance.choice(("none", "none", "pass", "softfail")),
                    {},
                )
        raise ValueError(self.template.sender)

    def letter(self) -> Letter:
        template, message = self.template, EmailMessage(policy=SMTP)
        answers = f"<sent-{self.number}@example.org>" if "reply" in template.flags else ""
        text = "" if "empty" in template.flags else self.written(template.text)
        if "noise" in template.flags:
            text += "\n" * 40 + " ".join(self.chance.choices(_NOISE, k=4_000))
        self._head(message, answers)
        self._body(message, text)
        self._attach(message)
        for place, part in enumerate(message.walk()):
            if part.is_multipart():
                part.set_boundary(f"=_{self.number}_{place}")
        raw = self._damaged(message.as_bytes())
        return Letter(raw, template.category, template.kind, template.language, self.at, answers)

    def _head(self, message: EmailMessage, answers: str) -> None:
        domain = self.address.rpartition("@")[2]
        seen = format_datetime(self.at)
        message["Received"] = f"from {domain} by {SERVER} with ESMTPS id {self.number:06x}; {seen}"
        if self.chance.random() < 0.97:
            message["Authentication-Results"] = self._results(domain)
        if self.template.sender == "spammer" and self.chance.random() < 0.3:  # what it brought along itself
            message["Authentication-Results"] = f"{SERVER}; dmarc=pass header.from={domain}"
        message["From"] = Address(self.name, addr_spec=self.address)
        message["To"] = READER if self.template.sender != "list" else "all@lists.example.net"
        message["Subject"] = self.written(self.template.subject)
        if self.template.sender != "spammer" or self.chance.random() < 0.8:
            message["Date"] = seen
            message["Message-ID"] = f"<{self.number}.{self.fill['small']}@{domain}>"
        for name, value in self.headers.items():
            message[name] = value
        if answers:
            message["In-Reply-To"] = message["References"] = answers
        flags = self.template.flags
        if "newsletter" in flags:
            message["List-Unsubscribe"] = f"<https://{domain}/u/{self.number}>, <mailto:off@{domain}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
            message["Feedback-ID"] = f"{self.number}:{self.fill['small']}:mail"
        if "discussion" in flags or self.template.kind == "forged-list":
            message["List-Id"] = "Talk <all.lists.example.net>"
        if "autoreply" in flags:
            message["Auto-Submitted"] = "auto-replied"
        if "x-priority" in flags:
            message["X-Priority"], message["Importance"] = "1 (Highest)", "high"

    def _results(self, domain: str) -> str:
        match self.verdict:
            case "pass":
                signed = f"dkim=pass (2048-bit key) header.d={domain}; spf=pass smtp.mailfrom={self.address}"
                return f"{SERVER}; {signed}; dmarc=pass (p=none) header.from={domain}"
            case "fail":
                refused = "spf=fail smtp.mailfrom=x@bulk.invalid; dmarc=fail (p=reject)"
                return f"{SERVER}; {refused} header.from={domain}"
            case "softfail":
                return f"{SERVER}; spf=softfail smtp.mailfrom={domain}; dkim=none"
            case _:
                return f"{SERVER}; none"

    def _body(self, message: EmailMessage, text: str) -> None:
        flags = self.template.flags
        charset = next((_CHARSETS[flag] for flag in sorted(flags) if flag in _CHARSETS), "utf-8")
        try:
            text.encode(charset)
        except UnicodeEncodeError:
            charset = "utf-8"
        transfer = (
            "base64" if "base64" in flags else self.chance.choice(("quoted-printable", "base64", "8bit"))
        )
        if charset == "iso-2022-jp":
            transfer = "7bit"
        only_html = "html" in flags and self.chance.random() < 0.5
        if not only_html:
            message.set_content(text + "\n", charset=charset, cte=transfer)
        if "html" in flags:
            paragraphs = text if text.startswith("<p>") else "".join(
                f"<p style='margin:0 0 12px'>{_linked(line)}</p>" for line in text.split("\n\n")
            )  # fmt: skip
            page = (f"<html><head><style>p {{color:#222}}</style><title>Mail</title></head>"
                    f"<body><table width=600><tr><td>{paragraphs}</td></tr></table></body>\n")  # fmt: skip
            if only_html:
                message.set_content(page, subtype="html", charset="utf-8", cte="quoted-printable")
            else:
                message.add_alternative(page, subtype="html", charset="utf-8", cte="base64")
        elif self.template.calendar:
            method = self.template.calendar.upper()
            entry = _ENTRY.format(method=method, uid=self.number, summary=self.fill["project"])
            message.add_alternative(entry, subtype="calendar", params={"method": method})
        if "dsn" in flags:
            message.replace_header("Content-Type", "text/plain; charset=utf-8")

    def _attach(self, message: EmailMessage) -> None:
        kind = self.template.attachment
        if not kind:
            return
        content = random.Random(self.number).randbytes(self.chance.choice((900, 9_000, 40_000)))
        subtype = {"pdf": "pdf", "zip": "zip", "jpg": "jpeg", "exe": "octet-stream"}[kind]
        name = self.chance.choice(
            (f"document-{self.fill['number']}.{kind}", f"Übersicht {self.fill['number']}.{kind}")
        )
        message.add_attachment(
            content, maintype="image" if kind == "jpg" else "application", subtype=subtype, filename=name
        )

    def _damaged(self, raw: bytes) -> bytes:
        """One letter in fifteen arrives as mail does: not as the standards want it."""
        if self.chance.random() > 1 / 15:
            return raw
        match self.chance.randrange(5):
            case 0:  # the last boundary is missing
                return raw[: raw.rstrip().rfind(b"--")] if b"boundary=" in raw else raw
            case 1:  # a charset that does not exist
                return raw.replace(b'charset="utf-8"', b'charset="x-unknown-9"')
            case 2:  # raw bytes in a header
                return b"X-Note: caf\xe9 \xff\xfe\r\n" + raw
            case 3:  # line ends of another system, and a header twice
                return b"X-Loop: a\nX-Loop: a\n" + raw.replace(b"\r\n", b"\n")
            case _:  # a header that is none
                head, _, body = raw.partition(b"\r\n\r\n")
                return head + b"\r\nthis line is no header\r\n\r\n" + body


_NOISE = (
    "garden", "minutes", "review", "invoice", "Tuesday", "meeting", "regards", "attached", "library",
    "project", "draft", "thanks", "bridge", "harbour", "question", "report", "lamp", "window", "budget",
    "notes", "paper", "ferry", "kitchen", "neighbour", "answer", "signature",
)  # fmt: skip
_ENTRY = """BEGIN:VCALENDAR
VERSION:2.0
METHOD:{method}
BEGIN:VEVENT
UID:{uid}@example.net
DTSTART:20260210T090000Z
SUMMARY:{summary}
END:VEVENT
END:VCALENDAR
"""


def _linked(text: str) -> str:
    shown = escape(text).replace("\n", "<br>")
    return re.sub(r"(https?://[^\s<]+)", r'<a href="\1">\1</a>', shown)


def write(folder: Path, letters: Sequence[Letter]) -> None:
    """One Maildir for each category. The time of a message is its file's."""
    boxes = {c: mailbox.Maildir(folder / c.value, create=True) for c in Category}
    for letter in letters:
        message = mailbox.MaildirMessage(letter.raw)
        message.set_date(letter.received_at.timestamp())
        boxes[letter.category].add(message)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--count", type=int, default=560)
    given = arguments.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    write(given.folder, generate(given.count))


if __name__ == "__main__":
    main()
