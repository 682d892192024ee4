"""Requests a second that `serve` answers: /api/recommend, k=10, over HTTP from two client threads.

    PYTHONPATH=. python benchmarks/serve_rate.py [--items 1000] [--users 2000] [--requests 2000]

Vectors are random: scores take the same time whatever they are. The server is a process of its own,
and shares the machine with the clients, which keep their connections. Printed: requests a second,
median and 99th percentile of a request's time, and the machine's load beforehand.
"""

import argparse
import http.client
import multiprocessing
import os
import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np

from recbole_symcere.serve.serve_command import listening


def serve(listener: socket.socket, n_users: int, n_items: int, dim: int) -> None:
    """Serve random vectors."""
    import pyarrow as pa
    import torch
    import uvicorn

    from recbole_symcere.run.catalogue import Catalogue
    from recbole_symcere.serve.recommender import Recommender
    from recbole_symcere.serve.scorers import VectorScorer
    from recbole_symcere.serve.web_api import make_app
    from recbole_symcere.serve.web_views import WebViews

    torch.set_num_threads(1)  # as the command does
    rng = np.random.default_rng(0)
    vectors = tuple(torch.randn(n, dim) for n in (n_users + 1, n_items + 1))
    users, items = (
        pa.array(["[PAD]", *(f"{side}{n}" for n in range(count))])
        for side, count in (("u", n_users), ("i", n_items))
    )
    titles = pa.array(["", *(f"item number {n}" for n in range(n_items))])
    user = np.repeat(np.arange(1, n_users + 1), 20)
    item = rng.integers(1, n_items + 1, len(user))
    part = np.zeros(len(user), np.int8)
    with TemporaryDirectory() as nothing:
        recommender = Recommender(
            Catalogue(users, items, titles, user, item, part),
            VectorScorer({"scored": None, "raw": vectors}),
            (Path(nothing), "random"),
        )
        views = WebViews(recommender, {"run": "random", "model": "random", "dataset": "random"})
    settings = uvicorn.Config(make_app(views), log_level="warning", access_log=False)
    uvicorn.Server(settings).run(sockets=[listener])


def ask(port: int, users: Any, seconds: list[float], more: str) -> None:
    """Ask for lists of the users, one after another."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for user in users:
        started = time.perf_counter()
        connection.request("GET", f"/api/recommend?user=u{user}&k=10{more}")
        answer = connection.getresponse()
        told = answer.read()
        seconds.append(time.perf_counter() - started)
        assert answer.status == 200, told
    connection.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=2)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    listener = listening("127.0.0.1", 0)
    port = listener.getsockname()[1]
    context = multiprocessing.get_context("fork")
    server = context.Process(target=serve, args=(listener, given.users, given.items, given.dim))
    server.start()
    try:
        warm: list[float] = []
        ask(port, range(50), warm, "&why=true")
        print(f"{os.cpu_count()} cores, load {load:.1f} beforehand; {given.items:,} items, k=10")
        for more in ("", "&why=true"):
            measure(given, port, more)
    finally:
        server.terminate()
        server.join()


def measure(given: argparse.Namespace, port: int, more: str) -> None:
    """Print one line."""
    seconds: list[float] = []
    chosen = np.random.default_rng(1).integers(
        0, given.users, (given.clients, given.requests // given.clients)
    )
    clients = [Thread(target=ask, args=(port, users, seconds, more)) for users in chosen]
    started = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    took = time.perf_counter() - started
    assert len(seconds) == chosen.size
    median, late = np.percentile(np.array(seconds) * 1000, [50, 99])
    print(
        f"/api/recommend{more.replace('&', ' with ')}: {len(seconds) / took:,.0f} requests/s from "
        f"{given.clients} clients; median {median:.1f} ms, p99 {late:.1f} ms"
    )


if __name__ == "__main__":
    main()
