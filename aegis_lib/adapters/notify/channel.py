"""What the fan-out asks of a channel. A channel must not retry, wait or split by itself; the fan-out does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from aegis_lib.alerts.model import Message
from aegis_lib.errors import Misconfigured

Part = TypeVar("Part")


class Channel(Protocol[Part]):
    """One way to reach people. Its parts are in the service's own form, each small enough to be sent."""

    @property
    def name(self) -> str:
        """What receipts call it. No secret in it."""

    def takes(self, message: Message) -> bool:
        """Whether the message's audience is reached here."""

    def parts(self, message: Message) -> Sequence[Part]:
        """The message in the service's form, at least one part, in the order to send."""

    def post(self, part: Part) -> str | None:
        """Send one part and return the service's id of it, where it gives one.

        Raises:
            DependencyUnavailable: the service did not answer, is broken, or asks to wait.
            PermanentFailure: the service refused for good.
            Misconfigured: it refused because of a setting, which is named.
        """


class Broken:
    """The place of a channel whose settings cannot work: it takes every message and refuses it."""

    def __init__(self, name: str, error: Misconfigured) -> None:
        self.name, self.error = name, error

    def takes(self, message: Message) -> bool:
        """Every one: somebody meant it to arrive here."""
        return True

    def parts(self, message: Message) -> tuple[Message]:
        """The message itself."""
        return (message,)

    def post(self, part: Message) -> str | None:
        """Refuse.

        Raises:
            Misconfigured: always; names the variable.
        """
        raise self.error
