"""The JSON API and the page over HTTP: GET alone, every input bounded, every refusal in words."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any, get_origin

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from recbole_symcere.base.errors import InputError, did_you_mean
from recbole_symcere.serve import web_answers as answers
from recbole_symcere.serve.web_page import FILES, api_list
from recbole_symcere.serve.web_views import MOST, FoldInMissingError, WebViews
from recbole_symcere.version import __version__

__all__ = ["make_app"]

_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_ID = 500  # characters of an id
_TEXT = 1000  # of typed words
_PICKED = 50  # items
_SHOWN = 60  # characters of a refused value

_K = Annotated[int, Query(ge=1, le=MOST, description="rows at most")]
_Id = Annotated[str, Query(min_length=1, max_length=_ID, description="id as in the file")]
_Part = Annotated[str, Query(max_length=_ID, description="part of an id or title")]
_Text = Annotated[str, Query(min_length=1, max_length=_TEXT, description="words")]
_Ids = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=_ID)]],
    Query(min_length=1, max_length=_PICKED, description="id of an item; repeat it for more"),
]
_YesNo = Annotated[bool, Query(description="whether to tell shared words")]

_Scope = MutableMapping[str, Any]
_Asgi = Callable[[_Scope, Any, Any], Awaitable[None]]


def make_app(views: WebViews, hosts: frozenset[str] | None = None) -> FastAPI:
    """The application.

    Args:
        views: of the run.
        hosts: names that a request may call this server by; None for any. A page of another
            site could otherwise have its own name lead here, and read what is served (DNS
            rebinding).
    """
    app = FastAPI(
        title="recbole_symcere serve",
        description="Reads out of a finished run. Refusals are JSON with their reason in detail.",
        version=__version__,
        docs_url=None,  # those of FastAPI load scripts from elsewhere
        redoc_url=None,
        dependencies=[Depends(_refuse_unknown_parameters)],
    )
    app.add_middleware(_Guard, hosts=hosts)
    app.add_exception_handler(InputError, _not_found)
    app.add_exception_handler(RequestValidationError, _not_valid)
    api = _Api(views)
    for name, shape in _SHAPES.items():
        # JSON is made of the values as they are: checking them against their shapes, which the
        # description is made of, would take longer than the scores
        app.get(f"/api/{name}", response_model=shape)(getattr(api, name))
    for path, (content, kind) in FILES.items():
        app.get(path, include_in_schema=False)(_file(content, kind))
    app.get("/docs", include_in_schema=False)(_file(api_list(app.openapi()), "text/html"))
    return app


_SHAPES = {
    "about": answers.About,
    "users": answers.Users,
    "items": answers.Items,
    "history": answers.History,
    "recommend": answers.Recommendations,
    "why": answers.Why,
    "item": answers.Item,
    "similar": answers.Neighbours,
    "find": answers.FoundItems,
    "fold_in": answers.FoundItems,
}
"""What each method of `_Api` answers."""


class _Api:
    """The answers; FastAPI reads and describes their parameters.

    They are coroutines that wait for nothing, so one is made at a time, in the server's own
    thread. `WebViews` would hold back all but one of several threads anyway, and handing over to a
    thread takes longer than the scores of a small catalogue.
    """

    def __init__(self, views: WebViews) -> None:
        self._views = views
        self._items = views.about()["items"]

    async def about(self) -> Response:
        """What is served: run, model, data set, sizes, and what it can't tell."""
        return JSONResponse(self._views.about())

    async def users(self, q: _Part = "", k: _K = 10) -> Response:
        """Users whose id holds q: an equal one first, then those that begin with it."""
        return JSONResponse(self._views.users(q, k))

    async def items(self, q: _Part = "", k: _K = 10) -> Response:
        """Items whose id or title holds q: an equal one first, then those that begin with it."""
        return JSONResponse(self._views.items(q, k))

    async def history(self, user: _Id, k: _K = 100) -> Response:
        """A user's interactions, of training first, and the reviews of those of training."""
        return JSONResponse(self._views.history(user, k))

    async def recommend(
        self, request: Request, user: _Id, k: _K = 10, why: _YesNo = False
    ) -> Response:
        """The best items that a user has no interaction with."""
        k = self._checked(request, k, self._items)
        return JSONResponse(self._views.recommend(user, k, why))

    async def why(self, user: _Id, item: _Id) -> Response:
        """Words that an item shares with a user's training items, marked in reviews of both."""
        return JSONResponse(self._views.why(user, item))

    async def item(self, item: _Id) -> Response:
        """An item and some of its training reviews."""
        return JSONResponse(self._views.item(item))

    async def similar(self, request: Request, item: _Id, k: _K = 10) -> Response:
        """The items that are nearest by the model's vectors, and by words."""
        k = self._checked(request, k, self._items - 1)
        return JSONResponse(self._views.similar(item, k))

    async def find(self, text: _Text, k: _K = 10) -> Response:
        """Items whose titles and training reviews use the words of a text."""
        return JSONResponse(self._views.find(text, k))

    async def fold_in(self, request: Request, item: _Ids, k: _K = 10) -> Response:
        """Recommendations for somebody who chose some items, whom the run needn't know."""
        k = self._checked(request, k, self._items)
        return JSONResponse(self._views.fold_in(item, k))

    @staticmethod
    def _checked(request: Request, k: int, most: int) -> int:
        if k > most and "k" in request.query_params:
            raise HTTPException(422, f"k is {k}: there are {most:,} items to choose from.")
        return min(k, most)


async def _refuse_unknown_parameters(request: Request) -> None:
    """A misspelt or repeated parameter would otherwise have no effect, without a word."""
    fields = request.scope["route"].dependant.query_params
    known = [field.alias for field in fields]
    for name in request.query_params:
        if name not in known:
            there = ", ".join(known) or "none"
            hint = did_you_mean(name[:_ID], known)
            raise HTTPException(
                422, f"There is no parameter {name[:_ID]!r}; there are: {there}.{hint}"
            )
    for field in fields:
        values = request.query_params.getlist(field.alias)
        if len(values) > 1 and get_origin(field.field_info.annotation) is not list:
            first, second = (repr(value[:_SHOWN]) for value in values[:2])
            raise HTTPException(
                422, f"{field.alias} is given {len(values)} times: {first}, {second}. Give it once."
            )


def _not_found(_: Request, error: Exception) -> Response:
    status = 501 if isinstance(error, FoldInMissingError) else 404
    return JSONResponse({"detail": str(error)}, status)


def _not_valid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    said = []
    for found in error.errors():
        name = found["loc"][1] if len(found["loc"]) > 1 else found["loc"][0]
        if found["type"] == "missing":
            said.append(f"The parameter {name} is missing.")
        else:
            value = repr(found["input"])
            value = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
            said.append(f"{name} is {value}: it {found['msg'].partition(' ')[2]}.")
    return JSONResponse({"detail": " ".join(said)}, 422)


def _file(content: str, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return Response(content, media_type=kind)

    return answer


class _Guard:
    """Sets the headers that keep a browser to this page, and refuses other names of this host."""

    def __init__(self, app: _Asgi, hosts: frozenset[str] | None) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: _Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: _Scope) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        host = _host_of(scope)
        if self._hosts is not None and host not in self._hosts:
            refusal = JSONResponse({"detail": f"{host!r} isn't served here."}, 421)
            await refusal(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)


def _host_of(scope: _Scope) -> str:
    """The name a request calls this server by, without port."""
    given = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
    if given.startswith("["):
        return str(given[1:].partition("]")[0])
    return str(given.partition(":")[0])
