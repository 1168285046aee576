"""How many questions a server answers a second, how long the slowest wait, and whether /live answers all the while.

    python benchmarks/load.py http://127.0.0.1:8000 --path /v1/ask --clients 16 --seconds 8 --questions FILE [--json]

FILE holds one question a line. Each client keeps one connection and sends its next question when the answer to the last
has arrived; clients take the questions in turn, so that none asks what another is asking. What is answered in the first
second is not counted. An answer counts when its status is 200; anything else, a broken connection too, is an error. It
needs the standard library alone, so that it takes little of the cores it shares with the server.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

WARM_UP_S = 1.0
PROBE_EVERY_S = 0.05
# A request that takes longer is an error: no server that is up leaves a reader waiting for half a minute.
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What was asked and how it went; times are wall-clock milliseconds, ``live_max_ms`` that of the slowest /live."""

    clients: int
    seconds: float
    requests: int
    errors: int
    throughput: float
    p50_ms: float
    p99_ms: float
    live_max_ms: float


@dataclass(slots=True)
class _Tally:
    """What the clients of one run have seen so far; only what ends between ``begin`` and ``end`` is counted."""

    begin: float
    end: float
    times: list[float] = field(default_factory=list)
    lives: list[float] = field(default_factory=list)
    errors: int = 0


class _Connection:
    """One kept connection that sends a request and reads its response to the end."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, request: bytes) -> int:
        """Send the request and return the response's status; raise OSError where the connection breaks or takes too long."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(self._host, self._port)
                reader, writer = self._streams
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(_length(head))
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.close()
            raise OSError(f"the connection broke: {error}") from error
        if b"\r\nconnection: close" in head:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _length(head: bytes) -> int:
    """Return the length of the body that follows a response's head in lower case, or raise ValueError."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if not found:
        raise ValueError("the response does not say how long it is")
    return int(rest.split(b"\r\n", 1)[0])


async def measure(url: str, path: str, questions: Sequence[str], *, clients: int, seconds: float) -> Load:
    """Ask from so many clients at once for so many seconds, and return what came of it."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    begin = time.perf_counter() + WARM_UP_S
    tally = _Tally(begin, begin + seconds)
    bodies = itertools.cycle([_post(host, path, question) for question in questions])
    asking = [_ask(_Connection(host, port), bodies, tally) for _ in range(clients)]
    await asyncio.gather(_probe(_Connection(host, port), _get(host, "/live"), tally), *asking)
    times = sorted(tally.times)
    return Load(
        clients=clients,
        seconds=seconds,
        requests=len(times),
        errors=tally.errors,
        throughput=round(len(times) / seconds, 1),
        p50_ms=_quantile(times, 0.5),
        p99_ms=_quantile(times, 0.99),
        live_max_ms=_quantile(sorted(tally.lives), 1),
    )


def _quantile(times: Sequence[float], share: float) -> float:
    """Return the smallest of the sorted times that the given share of them does not exceed, in ms; 0 of none."""
    if not times:
        return 0.0
    return round(1000 * times[max(0, -int(-share * len(times) // 1) - 1)], 1)


def _post(host: str, path: str, question: str) -> bytes:
    body = json.dumps({"question": question}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _get(host: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


async def _ask(connection: _Connection, bodies: Iterator[bytes], tally: _Tally) -> None:
    """Ask one question after the other until the time is up."""
    while (sent := time.perf_counter()) < tally.end:
        good = await _succeeds(connection, next(bodies))
        now = time.perf_counter()
        if tally.begin <= now < tally.end:
            if good:
                tally.times.append(now - sent)
            else:
                tally.errors += 1
        if not good:
            await asyncio.sleep(PROBE_EVERY_S)
    connection.close()


async def _probe(connection: _Connection, request: bytes, tally: _Tally) -> None:
    """Ask /live at fixed intervals until the time is up; a probe without an answer counts as one that took the longest."""
    while (sent := time.perf_counter()) < tally.end:
        good = await _succeeds(connection, request)
        now = time.perf_counter()
        if now >= tally.begin:
            tally.lives.append(now - sent if good else TIMEOUT_S)
        await asyncio.sleep(max(0.0, sent + PROBE_EVERY_S - now))
    connection.close()


async def _succeeds(connection: _Connection, request: bytes) -> bool:
    try:
        return await connection.exchange(request) == 200
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a server and print what came of it; return 0, or 1 where it gave an error or no answer."""
    parser = argparse.ArgumentParser(prog="benchmarks/load.py", description="Put a server under load.")
    parser.add_argument("url", metavar="URL")
    parser.add_argument("--path", default="/v1/ask", metavar="PATH", help="where questions are posted, default: /v1/ask")
    parser.add_argument("--clients", type=int, default=16, metavar="N", help="clients at once, default: 16")
    parser.add_argument("--seconds", type=float, default=8, metavar="S", help="how long to count, default: 8")
    parser.add_argument("--questions", type=Path, required=True, metavar="FILE", help="one question a line")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    questions = [line for line in options.questions.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not questions:
        parser.error(f"{options.questions} holds no question")
    load = asyncio.run(measure(options.url, options.path, questions, clients=options.clients, seconds=options.seconds))
    print(json.dumps(asdict(load)) if options.json else _sentence(load))
    return 0 if load.requests and not load.errors else 1


def _sentence(load: Load) -> str:
    return (
        f"{load.clients} clients, {load.seconds:g} s: {load.throughput:g} answers a second, {load.errors} errors; "
        f"half within {load.p50_ms:g} ms, 99 % within {load.p99_ms:g} ms; /live at most {load.live_max_ms:g} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
