"""Why a transfer of libcurl failed, in our words. Decides nothing about what follows from it.

The error codes are those of https://curl.se/libcurl/c/libcurl-errors.html.
"""

from __future__ import annotations

import errno
import os
import re

import pycurl

from aegis_lib.clock import iso
from aegis_lib.sites.seen import Certificate, Failure, FailureKind

_CERTIFICATE_WORDS = (
    ("has expired", "its certificate has expired"),
    ("not yet valid", "its certificate is not valid yet"),
    (
        "self-signed certificate in certificate chain",
        "its certificate comes from an authority nobody here knows",
    ),
    ("self-signed", "its certificate is self-signed: no authority vouches for it"),
    ("self signed", "its certificate is self-signed: no authority vouches for it"),
    ("unable to get local issuer", "its chain of certificates is incomplete, or its authority is unknown"),
    ("unable to verify the first", "its chain of certificates is incomplete, or its authority is unknown"),
    ("revoked", "its certificate was revoked"),
    ("subject name matches", "its certificate is for another name"),
    ("does not match target", "its certificate is for another name"),
    ("key too", "its certificate has a key that is too weak"),
    ("md too weak", "its certificate is signed with an algorithm that is too weak"),
)
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}
_HTTP2_STREAM = 92  # pycurl has no name for it
_BROKEN = {
    pycurl.E_GOT_NOTHING: "the connection was closed without an answer",
    pycurl.E_SEND_ERROR: "the connection broke while the request was sent",
    pycurl.E_PARTIAL_FILE: "the answer ended before its end",
    pycurl.E_BAD_CONTENT_ENCODING: "the answer is packed in a way that cannot be unpacked",
    pycurl.E_HTTP2: "the answer breaks the rules of HTTP/2",
    _HTTP2_STREAM: "the answer breaks the rules of HTTP/2",
    pycurl.E_UNSUPPORTED_PROTOCOL: "what answers does not speak HTTP",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "what answers does not speak HTTP",
    pycurl.E_URL_MALFORMAT: "it redirects to something that is no address",
}
DNS_FAILURES = {pycurl.E_COULDNT_RESOLVE_HOST}
CERTIFICATE_FAILURES = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT}


def explain(curl: pycurl.Curl, code: int, said: str, host: str, port: int, limit_seconds: float) -> Failure:
    """What went wrong with a transfer to `host`; `said` are libcurl's words, `limit_seconds` its time."""
    number = curl.getinfo(pycurl.OS_ERRNO)
    words = re.sub(r"\s+", " ", said).strip()[:300]
    if code in DNS_FAILURES:
        return Failure(kind=FailureKind.DNS, words=f"the name {host} cannot be resolved")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return Failure(kind=FailureKind.TIMEOUT, words=_late(curl, limit_seconds))
    if code == pycurl.E_COULDNT_CONNECT:
        return Failure(kind=FailureKind.CONNECT, words=_unconnected(number, host, port))
    if code in CERTIFICATE_FAILURES:
        return Failure(kind=FailureKind.CERTIFICATE, words=_of_certificate(words))
    if code == pycurl.E_SSL_CONNECT_ERROR:
        ended = "reset" in words.lower() or "syscall" in words.lower() or "unexpected eof" in words.lower()
        reason = "the connection broke" if ended else words.rpartition(":")[2].strip() or words
        return Failure(kind=FailureKind.TLS, words=f"the TLS handshake failed: {reason}")
    if code == pycurl.E_RECV_ERROR:
        return Failure(kind=FailureKind.BROKEN, words=_unreceived(number, words))
    if code in _BROKEN:
        return Failure(kind=FailureKind.BROKEN, words=_BROKEN[code])
    return Failure(kind=FailureKind.BROKEN, words=f"no proper answer: {words or f'libcurl error {code}'}")


def dated(failure: Failure, shown: Certificate) -> Failure:
    """The failure of a certificate with what the certificate says of itself."""
    who = f" (it is for {shown.subject})" if shown.subject else ""
    return failure.model_copy(update={"words": f"{failure.words}{who}, valid until {iso(shown.expires_at)}"})


def _late(curl: pycurl.Curl, limit_seconds: float) -> str:
    """How far it had come when the time was over."""
    limit = f"within {limit_seconds:g} s"
    if not curl.getinfo(pycurl.PRIMARY_IP) and not curl.getinfo(pycurl.NAMELOOKUP_TIME):
        return f"the name was not resolved {limit}"
    if not curl.getinfo(pycurl.CONNECT_TIME):
        return f"no connection {limit}"
    secure = curl.getinfo(pycurl.EFFECTIVE_URL).startswith("https:")
    if secure and not curl.getinfo(pycurl.APPCONNECT_TIME):
        return f"the TLS handshake did not end {limit}"
    if not curl.getinfo(pycurl.HEADER_SIZE):
        return f"connected, but no answer {limit}"
    if not curl.getinfo(pycurl.SIZE_DOWNLOAD_T):
        return f"the head of the answer did not end {limit}"
    return f"the answer did not end {limit}: {curl.getinfo(pycurl.SIZE_DOWNLOAD_T)} bytes came"


def _unconnected(number: int, host: str, port: int) -> str:
    if number == errno.ECONNREFUSED:
        return f"{host} refused the connection to port {port}"
    if number in _UNREACHABLE:
        return f"{host} cannot be reached: {os.strerror(number).lower()}"
    return f"no connection to {host}, port {port}" + (f": {os.strerror(number).lower()}" if number else "")


def _unreceived(number: int, words: str) -> str:
    if "header" in words.lower():
        return "the head of the answer is too large or broken"
    if number in {errno.ECONNRESET, errno.EPIPE} or "reset" in words.lower():
        return "the connection was reset while the answer was awaited"
    if "chunk" in words.lower():
        return "the answer breaks the rules of HTTP: its parts have no proper length"
    return f"the connection broke while the answer was awaited: {words}"


def _of_certificate(words: str) -> str:
    lowered = words.lower()
    for sign, ours in _CERTIFICATE_WORDS:
        if sign in lowered:
            return ours
    return f"its certificate cannot be trusted: {words.rpartition(':')[2].strip() or words}"
