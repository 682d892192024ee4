"""The command ``serve``."""

import errno
import ipaddress
import socket
from importlib.util import find_spec
from typing import Any

from recbole_symcere.base import live_line, terminal
from recbole_symcere.base.errors import InputError
from recbole_symcere.base.option_help import help_of
from recbole_symcere.base.options import refuse_unknown, take_options
from recbole_symcere.run.place_options import refuse_missing_run
from recbole_symcere.serve.serve_options import ServeOptions

__all__ = ["help_text", "listening", "run"]

_HELP = """\
serve --run=RUN [--host=127.0.0.1] [--port=8000]

A page and a JSON API to look at a run: users with their histories, reviews and lists, items with
their neighbours, words that find items, picked items that give recommendations. It reads and never
writes. Who reaches the address sees histories and reviews: it is this machine unless --host says
otherwise. Ctrl-C ends it.

"""
_PARTS = ("fastapi", "uvicorn")
_SECONDS = 3  # that requests have to end in, once it is told to stop
_WAITING = 128  # connections that aren't taken yet


def help_text() -> str:
    """What ``serve --help`` says."""
    return _HELP + help_of(ServeOptions)


def run(pairs: dict[str, Any]) -> int:
    """Serve until a signal ends it.

    Args:
        pairs: the options as strings.

    Returns:
        The exit status, 0.

    Raises:
        InputError: for a package that is missing, a port that is taken, or a run that isn't there
            or has no checkpoint.
    """
    options = take_options(ServeOptions, pairs)
    refuse_unknown(pairs, "serve", ServeOptions)
    refuse_missing_run(options.run)
    if any(find_spec(part) is None for part in _PARTS):
        raise InputError(
            "serve needs FastAPI and uvicorn: pip install 'recbole-symcere[serve]', or, in a "
            "checkout, pip install -e '.[serve]'."
        )
    # before the run is read, which may take a while
    with listening(options.host, options.port) as listener:
        host, port = listener.getsockname()[:2]
        app = _app(options, host)
        import torch
        import uvicorn

        live_line.end()  # a server that waits isn't at work
        terminal.out(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
        if not _is_loopback(host):
            terminal.warn("Everybody who reaches this address can read histories and reviews.")

        # one user's scores are few: several threads wait for each other longer than they work
        torch.set_num_threads(1)
        settings = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=_SECONDS
        )
        uvicorn.Server(settings).run(sockets=[listener])
    return 0


def _app(options: ServeOptions, host: str) -> Any:
    from recbole_symcere.run.agreement import run_folder
    from recbole_symcere.serve.recommender import Recommender
    from recbole_symcere.serve.web_api import make_app
    from recbole_symcere.serve.web_views import WebViews

    live_line.step("loading the run")
    recommender = Recommender.load(options.run, options.popularity, **options.places)
    folder = run_folder(options.run)
    settings = folder.read_config()
    about = {"run": folder.path.name, **{key: str(settings[key]) for key in ("model", "dataset")}}
    views = WebViews(recommender, about)
    told = views.about()
    terminal.tell(
        f"{told['model']} on {told['dataset']}: {told['users']:,} users, {told['items']:,} items"
    )
    if told["words"]:
        terminal.tell(told["words"])
    names = {"localhost", "127.0.0.1", "::1", options.host.lower(), host}
    return make_app(views, frozenset(names) if _is_loopback(host) else None)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        InputError: if the port is taken or not allowed, or this machine has no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
    except (OSError, UnicodeError):
        raise InputError(f"--host={host}: this is no address of this machine.") from None
    # asyncio sends answers at once only on a socket whose protocol is told; others wait 40 ms
    listener = socket.socket(family, kind, protocol)
    try:
        # an ended server keeps its port for a minute; this doesn't take it from one that runs
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_WAITING)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            said = "another process has this port. Take another one, or --port=0 for any free one"
            raise InputError(f"--port={port}: {said}.") from None
        if error.errno == errno.EACCES:
            said = "only the system's administrator may use this port. Take one above 1023"
            raise InputError(f"--port={port}: {said}.") from None
        raise InputError(f"--host={host}: this is no address of this machine.") from None
    return listener
