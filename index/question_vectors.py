"""A question's vectors, kept for those who ask it again and shared by those who ask it at the same time.

Kept are digests and vectors, never a question's text. Encoding a passage is not its business, nor is what a question finds.
"""

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import Future

from index.encoder import Encoder, QueryVectors

# Questions kept. A dozen tokens of 384 components take 18 kB, so 256 such questions take under 5 MB.
KEPT = 256
# Longer questions are seldom asked twice and are not kept: 256 of this length take 25 MB.
KEPT_TOKENS = 64


class QuestionVectors:
    """Encodes questions, each one once; safe to share between threads, none of which holds the lock while it encodes."""

    def __init__(self, encoder: Encoder, *, kept: int = KEPT) -> None:
        self._encoder = encoder
        self._limit = kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, QueryVectors] = OrderedDict()
        self._running: dict[bytes, Future[QueryVectors]] = {}

    def encode(self, text: str) -> QueryVectors:
        """Return a question's vectors, read-only; an error of the encoder is raised for all who wait and is not kept."""
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                return known
            future = self._running.get(key)
            first = future is None
            if future is None:
                future = self._running[key] = Future()
        return self._lead(key, text, future) if first else future.result()

    def _lead(self, key: bytes, text: str, future: "Future[QueryVectors]") -> QueryVectors:
        """Encode a question for everybody who waits for it."""
        try:
            found = self._encoder.encode_query(text)
        except BaseException as error:  # whatever stops this thread, nobody may wait for it for ever
            with self._lock:
                del self._running[key]
            future.set_exception(error)
            raise
        for array in (found.vector, found.tokens.vectors, found.tokens.starts):
            array.setflags(write=False)  # the same arrays are everybody's
        with self._lock:
            del self._running[key]
            if len(found.tokens.starts) <= KEPT_TOKENS:
                self._kept[key] = found
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        future.set_result(found)
        return found
