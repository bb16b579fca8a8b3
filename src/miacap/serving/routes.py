"""The application: a page, its JSON, and what describes it.

GET  /                 the page
POST /v1/caption       a photo -> caption, words, n best, concepts, regions
POST /v1/explain       a photo -> all of that, attention, and what hiding each region does
GET  /health           that it is there
GET  /docs, /openapi.json
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from miacap import terminal
from miacap.errors import MiacapError, PictureError
from miacap.serving.answering import Answering
from miacap.serving.answers import Captioned, Failed, Health
from miacap.serving.bodies import photo_of
from miacap.serving.door import Door
from miacap.serving.gone import while_there
from miacap.serving.guard import Guard
from miacap.serving.limits import Limits
from miacap.serving.reference import reference
from miacap.serving.refusals import Refused, told
from miacap.serving.worker import Worker
from miacap.version import __version__

__all__ = ["application"]

_FILES = Path(__file__).with_name("page")
_STATIC = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of an image file, or a form with one file.",
        "content": {
            "image/*": _BINARY,
            "application/octet-stream": _BINARY,
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"photo": _BINARY["schema"]}}
            },
        },
    }
}
_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failed, "description": what}
    for status, what in (
        (400, "No photo, or a broken form."),
        (403, "Sent by a page of another origin."),
        (408, "The body took too long."),
        (413, "Too many bytes or pixels."),
        (415, "A body of a type that holds no photo."),
        (421, "Called by a name that is not this server's."),
        (422, "A photo that cannot be read, or a wrong parameter."),
        (503, "Too much at once, or the answer took too long; Retry-After says when to come back."),
    )
}


def application(
    answering: Answering,
    limits: Limits | None = None,
    *,
    host: str = "127.0.0.1",
    names: Iterable[str] = (),
) -> ASGIApp:
    """Give the ASGI application of a run.

    Args:
        answering: what sees photos, `serving.answering.Answering`.
        limits: what is let in; `Limits()` unless told.
        host: the address that is listened on; other names in a request's Host are refused.
        names: further names that are let through.
    """
    limits = limits or Limits()
    app = FastAPI(
        title="miacap",
        version=__version__,
        description="Captions of photos, and what a captioner saw. All answers are JSON.",
        docs_url=None,  # FastAPI's own pages fetch scripts from elsewhere
        redoc_url=None,
        # Nothing is told to anybody, whatever the environment says.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_answers(app, answering, limits)
    _add_pages(app, answering)
    _add_refusals(app)
    return Guard(app, host, names, limits)


def _add_answers(app: FastAPI, answering: Answering, limits: Limits) -> None:
    door, worker = Door(limits), Worker(limits.answer_seconds)

    @app.post(
        "/v1/caption", response_model=Captioned, responses=_FAILURES, openapi_extra=_BODY,
        summary="Caption a photo",
    )  # fmt: skip
    async def caption(
        request: Request,
        best: Annotated[int, Query(ge=1, le=10, description="Captions, the best among them.")] = 3,
    ) -> Captioned:
        async with door.inside():
            photo = await photo_of(request, limits)
            return await while_there(
                request, worker.do(lambda deadline: answering.caption(photo, best, deadline))
            )

    @app.post(
        "/v1/explain", response_model=None, responses=_FAILURES, openapi_extra=_BODY,
        summary="Caption a photo, and show what the captioner saw",
        response_description="miacap.explain.Look as JSON, the photo as a data URL in photo.jpeg.",
    )  # fmt: skip
    async def explain(
        request: Request,
        hide: Annotated[
            bool, Query(description="Whether to find out what hiding each region does.")
        ] = True,
    ) -> Response:
        async with door.inside():
            photo = await photo_of(request, limits)
            work = worker.do(lambda deadline: answering.explain(photo, hide, deadline))
            return JSONResponse(await while_there(request, work))


def _add_pages(app: FastAPI, answering: Answering) -> None:
    @app.get("/health", response_model=Health, summary="Say that the server is there")
    async def health() -> Health:
        return Health(status="ok", version=__version__, runs=list(answering.runs))

    for path, (name, kind) in _STATIC.items():
        app.add_api_route(path, _sends((_FILES / name).read_bytes(), kind), include_in_schema=False)
    page = reference(app.openapi()).encode("utf-8")
    app.add_api_route("/docs", _sends(page, _STATIC["/"][1]), include_in_schema=False)


def _sends(content: bytes, kind: str) -> Any:
    async def send() -> Response:
        return Response(content, media_type=kind)

    return send


def _add_refusals(app: FastAPI) -> None:
    """Have every refusal be JSON with a sentence."""

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return told(error)

    @app.exception_handler(PictureError)
    async def unreadable(_: Request, error: PictureError) -> Response:
        return told(Refused(422, str(error)))

    @app.exception_handler(MiacapError)
    async def unusable(_: Request, error: MiacapError) -> Response:
        terminal.tell(f"miacap serve: {error}")  # the run is at fault, not who asks
        return told(
            Refused(500, "Something is wrong with the run that is served; it was told there.")
        )

    @app.exception_handler(MemoryError)
    async def short(_: Request, error: MemoryError) -> Response:
        return told(Refused(503, "Not enough memory for this photo now; try a smaller one.", 10))

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        said = {
            404: "There is nothing at this address; see /docs.",
            405: f"{request.method} is not for this address; see /docs.",
        }
        answer = told(Refused(error.status_code, said.get(error.status_code, str(error.detail))))
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors())
        return told(Refused(422, f"A wrong parameter: {said[:300]}; see /docs."))
