"""A few threads for work that polars does outside Python's lock."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

# more would hold more blocks in memory, and one thread of the caller has to keep up
_N_THREADS = max(2, min(os.cpu_count() or 1, 4))


def ordered_map(function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Apply a function to items on threads; results come in the order of the items.

    The first item is done alone, because it may decide how the others are understood. At most
    a handful of items are held at once.

    Args:
        function: safe to call from several threads.
        items: taken one by one, in the caller's thread.

    Yields:
        One result per item.
    """
    iterator = iter(items)
    for item in itertools.islice(iterator, 1):
        yield function(item)
    pending: deque[Future[U]] = deque()
    with ThreadPoolExecutor(_N_THREADS) as pool:
        try:
            for item in iterator:
                pending.append(pool.submit(function, item))
                if len(pending) > _N_THREADS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
