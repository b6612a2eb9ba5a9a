"""What can be seen of a mail without judging it: who sent it, to how many, in which words. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from aegis_lib.mail import authentication, letters, lexicon
from aegis_lib.mail.authentication import Sender, Trust, domain_of
from aegis_lib.mail.model import Mail, RulesConfig

_BULK_HEADERS = ("list-unsubscribe", "list-id", "feedback-id", "x-campaign", "x-campaignid", "x-mailgun-sid")
_AUTOMATIC_NAMES = re.compile(
    r"^(?:no-?reply|do-?not-?reply|noresponse|notifications?|notify|alerts?|monitor(?:ing)?|mailer|info|news|"
    r"newsletter|marketing|offers?|updates?|bounces?|postmaster|mailer-daemon|cron|root|system|robot|bot)\b"
)


class Familiar(NamedTuple):
    """Whom the reader and those he writes with are: what others may pass for."""

    domains: frozenset[str]
    skeletons: dict[str, str]
    """How a domain reads -> the domain."""
    names: frozenset[str]
    """What stands before the `@`."""


@lru_cache(maxsize=4)
def _familiar(known: frozenset[str], own: tuple[str, ...]) -> Familiar:
    """Made once for all mails of a run: there may be thousands of correspondents."""
    domains = frozenset(domain_of(address) for address in (*known, *own)) - {""}
    return Familiar(
        domains,
        {letters.skeleton(domain): domain for domain in sorted(domains)},
        frozenset(address.partition("@")[0] for address in known) - {""},
    )


@dataclass(frozen=True)
class Marks:
    """What the rules look at. `known` are addresses that the reader has written to, in lower case."""

    mail: Mail
    rules: RulesConfig
    known: Collection[str] = ()

    @cached_property
    def sender(self) -> Sender:
        """Whether the address is the sender's, and why."""
        return authentication.sender(self.mail, self.rules.trusted_servers)

    @cached_property
    def subject(self) -> str:
        return letters.folded(self.mail.subject)

    @cached_property
    def text(self) -> str:
        """Subject and text as rules read them."""
        return self.subject + "\n" + letters.folded(self.mail.text[: lexicon.READ_CHARACTERS])

    @cached_property
    def is_known(self) -> bool:
        """Somebody the reader writes with; not when the address is refuted.

        An answer makes its sender known only as far as he is confirmed, where servers do confirm senders: the
        id of a mail that went to a list can be read by everybody.
        """
        if self.sender.trust is Trust.REFUTED:
            return False
        confirmed = self.sender.trust is Trust.CONFIRMED or not self.rules.trusted_servers
        return self.mail.from_email.lower() in self.known or (self.mail.is_answer and confirmed)

    @property
    def familiar(self) -> Familiar:
        return _familiar(frozenset(self.known), self.rules.own_addresses)

    @property
    def is_own(self) -> bool:
        return self.mail.from_email.lower() in {address.lower() for address in self.rules.own_addresses}

    @cached_property
    def bulk(self) -> tuple[str, ...]:
        """What says that many got the same mail."""
        headers = self.mail.headers
        signs = [f"it has the header {name}" for name in _BULK_HEADERS if name in headers][:2]
        precedence = self.mail.header("precedence").strip().lower()
        if precedence in {"bulk", "list", "junk"}:
            signs.append(f"it calls itself {precedence} mail")
        return tuple(signs)

    @cached_property
    def is_automatic(self) -> bool:
        """Written by a program: RFC 3834, or a mailbox that nobody reads."""
        said = self.mail.header("auto-submitted").strip().lower()
        name = self.mail.from_email.partition("@")[0].lower()
        return bool((said and said != "no") or self.bulk or _AUTOMATIC_NAMES.match(name))

    @cached_property
    def speaks_to_machines(self) -> tuple[str, ...]:
        """Phrases that are meant for the program that reads the mail."""
        return lexicon.TO_MACHINES.found(self.text)

    @cached_property
    def fraud_phrases(self) -> tuple[str, ...]:
        return lexicon.FRAUD.found(self.text)

    @cached_property
    def is_trusted(self) -> bool:
        """Known, or confirmed and without words of fraud: confirmed alone is not honest."""
        confirmed = self.sender.trust is Trust.CONFIRMED and not self.fraud_phrases
        return self.is_known or confirmed

    @cached_property
    def is_to_reader(self) -> bool:
        """The reader is one of few who are named as recipients; so too where nobody said who he is."""
        own = {address.lower() for address in self.rules.own_addresses}
        named = self.mail.addressed_to
        return 0 < len(named) <= 10 and (not own or bool(own & set(named)))
