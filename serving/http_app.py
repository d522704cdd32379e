"""HTTP beside inference: health, metadata, configuration, statistics, metrics."""

from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from serving.engine import Engine
from serving.errors import InvalidRequest, RequestError
from serving.http_infer import STATUS
from serving.metadata import (
    model_config,
    model_metadata,
    model_statistics,
    repository_index,
    server_metadata,
)
from serving.prometheus import metrics_registry


def make_app(engine: Engine) -> FastAPI:
    """Every handler runs on the event loop, where the counters live. There are no documentation pages, since
    theirs load scripts from elsewhere; `/openapi.json` is there."""
    app = FastAPI(title="Exitgate", docs_url=None, redoc_url=None)
    _add_error_handlers(app)
    _add_health(app, engine)
    _add_models(app, engine)
    _add_metrics(app, engine)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Clients of the protocol expect `{"error": ...}`, never the framework's own form."""

    @app.exception_handler(RequestError)
    async def answer_request_error(_: Request, error: RequestError) -> Response:
        return JSONResponse({"error": str(error)}, STATUS[error.fault])

    @app.exception_handler(HTTPException)
    async def answer_http_error(request: Request, error: HTTPException) -> Response:
        text = f"{error.detail}: {request.method} {request.url.path[:200]}"
        return JSONResponse({"error": text}, error.status_code)


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
        served = engine.registry.cascade(model, version)
        response.status_code = 200 if engine.is_accepting else 503
        return {"name": served.name, "ready": engine.is_accepting}


def _add_models(app: FastAPI, engine: Engine) -> None:
    @app.get("/v2")
    async def server() -> dict[str, Any]:
        return server_metadata()

    @app.post("/v2/repository/index")
    async def index(request: Request) -> list[dict[str, str]]:
        only_ready = _only_ready(await request.body())
        return repository_index(engine.registry, engine.is_accepting, only_ready)

    @app.get("/v2/models/stats")
    async def all_statistics() -> dict[str, Any]:
        return model_statistics(engine.registry, engine.statistics)

    @app.get("/v2/models/{model}/stats")
    @app.get("/v2/models/{model}/versions/{version}/stats")
    async def statistics(model: str, version: str = "") -> dict[str, Any]:
        engine.registry.cascade(model, version)
        return model_statistics(engine.registry, engine.statistics, model)

    @app.get("/v2/models/{model}/config")
    @app.get("/v2/models/{model}/versions/{version}/config")
    async def config(model: str, version: str = "") -> dict[str, Any]:
        return model_config(engine.registry.cascade(model, version), engine.limits.max_request_rows)

    @app.get("/v2/models/{model}")
    @app.get("/v2/models/{model}/versions/{version}")
    async def metadata(model: str, version: str = "") -> dict[str, Any]:
        return model_metadata(engine.registry.cascade(model, version))


def _only_ready(body: bytes) -> bool:
    """Of `{"ready": true}`; clients also send no body at all."""
    try:
        document = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        raise InvalidRequest("the body is not JSON") from None
    ready = document.get("ready", False) if isinstance(document, dict) else None
    if not isinstance(ready, bool):
        raise InvalidRequest("the body must be an object whose 'ready' is true or false")
    return ready


def _add_metrics(app: FastAPI, engine: Engine) -> None:
    registry = metrics_registry(engine)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
