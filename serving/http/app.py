"""HTTP beside inference: health, metadata, configuration, statistics, metrics."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from serving.console.routes import add_console
from serving.decision_log import DecisionLog
from serving.edge_errors import STATUS, internal_error, retry_after_s
from serving.engine import Engine
from serving.errors import InvalidRequest, RequestError
from serving.http.documents import read_object
from serving.http.extensions import add_extensions
from serving.metadata import (
    model_config,
    model_metadata,
    model_statistics,
    repository_index,
    server_metadata,
)
from serving.prometheus import metrics_registry
from serving.services import Services


def make_app(services: Services) -> FastAPI:
    """Every handler runs on the event loop, where the counters live. There are no documentation pages, since
    theirs load scripts from elsewhere; `/openapi.json` is there."""
    app = FastAPI(title="Exitgate", docs_url=None, redoc_url=None)
    _add_error_handlers(app)
    _add_health(app, services.engine)
    _add_models(app, services)
    add_extensions(app, services)
    _add_metrics(app, services.engine, services.decisions)
    add_console(app, services.engine, services.samples)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Clients of the protocol expect `{"error": ...}`, never the framework's own form."""

    @app.exception_handler(RequestError)
    async def answer_request_error(_: Request, error: RequestError) -> Response:
        seconds = retry_after_s(error)
        headers = None if seconds is None else {"Retry-After": str(seconds)}
        return JSONResponse({"error": str(error)}, STATUS[error.fault], headers)

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        text = f"{error.detail}: {request.method} {request.url.path[:200]}"
        return JSONResponse({"error": text}, error.status_code)

    @app.exception_handler(Exception)
    async def answer_bug(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": internal_error(error)}, 500)


def _add_health(app: FastAPI, engine: Engine) -> None:
    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready")
    async def ready(response: Response) -> dict[str, bool]:
        response.status_code = 200 if engine.is_accepting else 503
        return {"ready": engine.is_accepting}

    @app.get("/v2/models/{model}/ready")
    @app.get("/v2/models/{model}/versions/{version}/ready")
    async def model_ready(model: str, response: Response, version: str = "") -> dict[str, Any]:
        served = engine.registry.model(model, version)
        response.status_code = 200 if engine.is_accepting else 503
        return {"name": served.name, "ready": engine.is_accepting}


def _add_models(app: FastAPI, services: Services) -> None:
    engine = services.engine

    @app.get("/v2")
    async def server() -> dict[str, Any]:
        return server_metadata(shares_memory=services.memory.is_allowed)

    @app.post("/v2/repository/index")
    async def index(request: Request) -> list[dict[str, str]]:
        only_ready = _only_ready(await read_object(request))
        return repository_index(engine.registry, engine.is_accepting, only_ready)

    @app.get("/v2/models/stats")
    async def all_statistics() -> dict[str, Any]:
        return model_statistics(engine.registry, engine.statistics)

    @app.get("/v2/models/{model}/stats")
    @app.get("/v2/models/{model}/versions/{version}/stats")
    async def statistics(model: str, version: str = "") -> dict[str, Any]:
        return model_statistics(engine.registry, engine.statistics, model, version)

    @app.get("/v2/models/{model}/config")
    @app.get("/v2/models/{model}/versions/{version}/config")
    async def config(model: str, version: str = "") -> dict[str, Any]:
        return model_config(engine.registry.model(model, version), engine.limits.max_request_rows)

    @app.get("/v2/models/{model}")
    @app.get("/v2/models/{model}/versions/{version}")
    async def metadata(model: str, version: str = "") -> dict[str, Any]:
        return model_metadata(engine.registry, model, version)


def _only_ready(document: dict[str, Any]) -> bool:
    """Of `{"ready": true}`."""
    ready = document.get("ready", False)
    if not isinstance(ready, bool):
        raise InvalidRequest("'ready' must be true or false")
    return ready


def _add_metrics(app: FastAPI, engine: Engine, decisions: DecisionLog | None) -> None:
    registry = metrics_registry(engine, decisions)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
