"""How often one client may ask: the generic cell rate algorithm, one number a client, counted by all workers together.

GCRA is ITU-T Recommendation I.371 (Traffic control and congestion control in B-ISDN), annex A, in its virtual scheduling form:
a bucket holds the theoretical arrival time of the next request; one that comes earlier than that by more than the tolerance
does not conform. Buckets lie in a fixed memory that forked processes share, at the salted hash of the client's address, and
nothing else is kept. Two clients whose hashes meet share a bucket. Processes take no lock: of two that count the same client
within the same microsecond, one may go uncounted.
"""

import hashlib
import ipaddress
import math
import os
from mmap import mmap

# Requests a client may make at once before the rate holds: an impatient reader, or a chat program that opens a connection,
# lists the tools and asks.
BURST = 10
BUCKETS = 1 << 16
# Networks of IPv6 are handed out whole: a client has the last 64 bits to itself.
IPV6_PREFIX = 64
# Clocks are sums of floats: what comes this many seconds early comes in time.
ROUNDING_S = 1e-6
_PASSAGES = ("/v1/passages/", "/passages/")


def is_counted(method: str, path: str) -> bool:
    """Say whether a request counts: what asks, searches or writes, and what reads a passage."""
    return method == "POST" or (method in ("GET", "HEAD") and path.startswith(_PASSAGES))


class RateLimit:
    """At most ``per_minute`` counted requests a minute for each client address, after a burst of BURST."""

    def __init__(self, per_minute: float) -> None:
        self._interval = 60 / per_minute
        self._tolerance = self._interval * (BURST - 1)
        self._memory = mmap(-1, BUCKETS * 8)
        self._due = memoryview(self._memory).cast("d")
        self._salt = os.urandom(16)

    def wait(self, address: str, now: float) -> int:
        """Count a request at a monotonic time in seconds; return 0, or the seconds to wait where it is one too many."""
        bucket = self._bucket(address)
        due = max(self._due[bucket], now)
        early = due - self._tolerance - now
        if early > ROUNDING_S:
            return max(1, math.ceil(early))
        self._due[bucket] = due + self._interval
        return 0

    def _bucket(self, address: str) -> int:
        digest = hashlib.blake2b(client_network(address), digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest, "big") % BUCKETS


def client_network(address: str) -> bytes:
    """Return what counts as one client: an IPv4 address, the first 64 bits of an IPv6 one, or else the text itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address.encode("utf-8", "replace")
    if isinstance(parsed, ipaddress.IPv4Address):
        return parsed.packed
    if parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.packed
    return parsed.packed[: IPV6_PREFIX // 8]
