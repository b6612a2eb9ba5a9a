"""Many exchanges at once in one thread: libcurl's multi interface over epoll. Judges nothing that it carries.

Sites that may lie at private addresses have connections of their own: one that was opened for such a site
must not serve another, whose addresses were never looked at.
"""

from __future__ import annotations

import resource
import selectors
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import pycurl

from aegis_lib import isolation
from aegis_lib.adapters.site_prober.exchange import Exchange
from aegis_lib.sites.seen import Probe

_WANTED = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}
_LONGEST_WAIT_SECONDS = 1.0
_OTHER_FILES = 124
_MOST_CONNECTIONS = 2_000
_BURST = 8
"""So many are begun before those that run are looked at again: a long pause would count as their latency."""


def _room() -> int:
    """How many connections the limit of open files leaves room for in each of two pools, idle or not."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return min(_MOST_CONNECTIONS, max(8, (soft - _OTHER_FILES) // 3))


class _Pool:
    """One set of connections that transfers share, and the timer that libcurl wants for it."""

    def __init__(self, selector: selectors.BaseSelector, most_connections: int) -> None:
        self._selector = selector
        self.due_at: float | None = None
        self.running: dict[pycurl.Curl, Exchange] = {}
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self.multi.setopt(pycurl.M_MAXCONNECTS, most_connections)

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        known = descriptor in self._selector.get_map()
        if what == pycurl.POLL_REMOVE:
            if known:
                self._selector.unregister(descriptor)
        elif what in _WANTED:
            change = self._selector.modify if known else self._selector.register
            change(descriptor, _WANTED[what], self)

    def _set_timer(self, milliseconds: int) -> None:
        self.due_at = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def start(self, curl: pycurl.Curl, exchange: Exchange) -> None:
        self.running[curl] = exchange
        self.multi.add_handle(curl)

    def act(self, descriptor: int, events: int) -> None:
        bits = pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0
        bits |= pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
        self.multi.socket_action(descriptor, bits)

    def tick(self) -> None:
        if self.due_at is not None and self.due_at <= time.monotonic():
            self.due_at = None
            self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def ended(self) -> Iterator[tuple[pycurl.Curl, int, str]]:
        while True:
            left, good, bad = self.multi.info_read()
            for curl in good:
                yield curl, 0, ""
            for curl, code, said in bad:
                yield curl, code, said
            if not left:
                return

    def close(self) -> None:
        for curl in list(self.running):
            self.multi.remove_handle(curl)
            curl.close()
        self.running.clear()
        self.multi.close()


@dataclass
class Transfers:
    """Runs exchanges, at most `concurrency` at once and `per_host` for one host."""

    concurrency: int
    per_host: int
    _hosts: Counter[str] = field(default_factory=Counter)
    _waiting: dict[str, deque[Exchange]] = field(default_factory=dict)

    def run(self, exchanges: Iterable[Exchange], seconds: float) -> Iterator[Probe]:
        """What each saw, as soon as it is there. After `seconds` no more are begun."""
        with ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            room = _room()
            self.concurrency = min(self.concurrency, room)
            shared, inner = (_Pool(selector, room) for _ in range(2))
            stack.callback(shared.close)
            stack.callback(inner.close)
            yield from self._run(deque(exchanges), selector, shared, inner, time.monotonic() + seconds)

    def _run(
        self,
        new: deque[Exchange],
        selector: selectors.BaseSelector,
        shared: _Pool,
        inner: _Pool,
        no_more_at: float,
    ) -> Iterator[Probe]:
        pools = (shared, inner)
        while True:
            if time.monotonic() > no_more_at:
                new.clear()
                self._waiting.clear()
            yield from self._admit(new, shared, inner)
            running = len(shared.running) + len(inner.running)
            if not running and not new:
                return
            more = bool(new) and running < self.concurrency
            for key, events in selector.select(0 if more else self._patience(pools)):
                key.data.act(key.fd, events)
            for pool in pools:
                pool.tick()
                for curl, code, said in list(pool.ended()):
                    exchange = pool.running.pop(curl)
                    following = isolation.attempt(partial(exchange.end, curl, code, said))
                    if isinstance(following, Exception):
                        exchange.give_up(following)
                        following = None
                    pool.multi.remove_handle(curl)
                    if following is not None:
                        pool.start(following, exchange)
                    else:
                        curl.close()
                        self._leave(exchange, new)
                        if exchange.probe is not None:
                            yield exchange.probe

    def _admit(self, new: deque[Exchange], shared: _Pool, inner: _Pool) -> Iterator[Probe]:
        begun = 0
        while new and begun < _BURST and len(shared.running) + len(inner.running) < self.concurrency:
            exchange = new.popleft()
            host = exchange.home
            if self._hosts[host] >= self.per_host:
                self._waiting.setdefault(host, deque()).append(exchange)
                continue
            curl = isolation.attempt(exchange.begin)
            if isinstance(curl, Exception):
                exchange.give_up(curl)
                curl = None
            if curl is None:
                if exchange.probe is not None:
                    yield exchange.probe
                continue
            begun += 1
            self._hosts[host] += 1
            (inner if exchange.allows_inner_addresses else shared).start(curl, exchange)

    def _leave(self, exchange: Exchange, new: deque[Exchange]) -> None:
        """The exchange is over; who waited for its host is next."""
        host = exchange.home
        self._hosts[host] -= 1
        waiting = self._waiting.get(host)
        if waiting:
            new.appendleft(waiting.popleft())

    def _patience(self, pools: tuple[_Pool, _Pool]) -> float:
        due = [pool.due_at for pool in pools if pool.due_at is not None]
        return max(0.0, min([_LONGEST_WAIT_SECONDS, *(at - time.monotonic() for at in due)]))
