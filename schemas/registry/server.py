"""The REST API of the registry, as Confluent's clients speak it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Body, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from schemas.registry import refusals
from schemas.registry.refusals import Refusal
from schemas.registry.rules import Registry
from schemas.registry.store import GLOBAL, Version
from schemas.registry.text import Text, parse

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
Payload = Annotated[dict[str, Any], Body()]
Deleted = Annotated[bool, Query()]
T = TypeVar("T")


class Answer(JSONResponse):
    """JSON under the registry's own content type."""

    media_type = CONTENT_TYPE


def build(registry: Registry) -> FastAPI:
    """The application. Endpoints run in worker threads: the store blocks until the disk has the change."""
    app = FastAPI(title="Schema registry", docs_url=None, redoc_url=None, default_response_class=Answer)
    app.middleware("http")(_own_content_type)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(404, _no_route)
    _schemas(app, registry)
    _subjects(app, registry)
    _compatibility(app, registry)
    _settings(app, registry)
    _server(app)
    return app


async def _own_content_type(request: Request, call_next: Any) -> Any:
    # Clients send the registry's own type, which is JSON under another name.
    headers = [(k, v) for k, v in request.scope["headers"] if k != b"content-type"]
    request.scope["headers"] = [*headers, (b"content-type", b"application/json")]
    return await call_next(request)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return Answer({"error_code": error.code, "message": error.message}, status_code=error.status)


async def _unreadable(request: Request, error: Exception) -> Response:
    return Answer({"error_code": 422, "message": "the request cannot be read"}, status_code=422)


async def _no_route(request: Request, error: Exception) -> Response:
    return Answer({"error_code": 404, "message": "HTTP 404 Not Found"}, status_code=404)


def _schemas(app: FastAPI, registry: Registry) -> None:
    @app.get("/schemas/types")
    def types() -> list[str]:
        return ["AVRO"]

    @app.get("/schemas/ids/{schema_id}")
    def by_id(schema_id: int, fetchMaxId: bool = False) -> dict[str, object]:
        body = _body(registry.schema(schema_id))
        return {**body, "maxId": registry.store.max_id()} if fetchMaxId else body

    @app.get("/schemas/ids/{schema_id}/schema")
    def text_by_id(schema_id: int) -> Response:
        return Response(registry.schema(schema_id).text, media_type=CONTENT_TYPE)

    @app.get("/schemas/ids/{schema_id}/subjects")
    def subjects_of(schema_id: int, deleted: Deleted = False) -> list[str]:
        return sorted({v.subject for v in registry.uses(schema_id, deleted=deleted)})

    @app.get("/schemas/ids/{schema_id}/versions")
    def versions_of(schema_id: int, deleted: Deleted = False) -> list[dict[str, object]]:
        return [{"subject": v.subject, "version": v.version} for v in registry.uses(schema_id, deleted=deleted)]

    @app.get("/schemas")
    def everything(
        subjectPrefix: str = "", deleted: Deleted = False, latestOnly: bool = False, offset: int = 0, limit: int = -1
    ) -> list[dict[str, object]]:
        found = [
            v for v in registry.store.everything() if v.subject.startswith(subjectPrefix) and (deleted or not v.deleted)
        ]
        if latestOnly:
            found = list({v.subject: v for v in found}.values())
        return [_full(v) for v in _page(found, offset, limit)]


def _subjects(app: FastAPI, registry: Registry) -> None:
    @app.get("/subjects")
    def subjects(
        subjectPrefix: str = "", deleted: Deleted = False, deletedOnly: bool = False, offset: int = 0, limit: int = -1
    ) -> list[str]:
        found = registry.subjects(deleted=deleted, deleted_only=deletedOnly, prefix=subjectPrefix.removeprefix(":*:"))
        return _page(found, offset, limit)

    @app.post("/subjects/{subject}")
    def lookup(subject: str, body: Payload, deleted: Deleted = False) -> dict[str, object]:
        return _full(registry.lookup(subject, _given(body), deleted=deleted))

    @app.delete("/subjects/{subject}")
    def delete(subject: str, permanent: bool = False) -> list[int]:
        return registry.delete_subject(subject, permanent=permanent)

    @app.get("/subjects/{subject}/versions")
    def versions(
        subject: str, deleted: Deleted = False, deletedOnly: bool = False, offset: int = 0, limit: int = -1
    ) -> list[int]:
        return _page(registry.versions(subject, deleted=deleted, deleted_only=deletedOnly), offset, limit)

    @app.post("/subjects/{subject}/versions")
    def register(subject: str, body: Payload) -> dict[str, object]:
        text = _given(body)
        schema_id = registry.register(
            subject, text, schema_id=_number(body.get("id")), version=_number(body.get("version"))
        )
        return {"id": schema_id, **_body(text)}

    @app.get("/subjects/{subject}/versions/{version}")
    def version(subject: str, version: str, deleted: Deleted = False) -> dict[str, object]:
        return _full(registry.version(subject, version, deleted=deleted))

    @app.get("/subjects/{subject}/versions/{version}/schema")
    def text(subject: str, version: str, deleted: Deleted = False) -> Response:
        return Response(registry.version(subject, version, deleted=deleted).text.text, media_type=CONTENT_TYPE)

    @app.get("/subjects/{subject}/versions/{version}/referencedby")
    def referenced_by(subject: str, version: str) -> list[int]:
        return registry.referenced_by(subject, registry.version(subject, version, deleted=True).version)

    @app.delete("/subjects/{subject}/versions/{version}")
    def delete_version(subject: str, version: str, permanent: bool = False) -> int:
        return registry.delete_version(subject, version, permanent=permanent)


def _compatibility(app: FastAPI, registry: Registry) -> None:
    @app.post("/compatibility/subjects/{subject}/versions")
    def against_level(subject: str, body: Payload, verbose: bool = False) -> dict[str, object]:
        return _verdict(registry.test(subject, _given(body), None), verbose)

    @app.post("/compatibility/subjects/{subject}/versions/{version}")
    def against_version(subject: str, version: str, body: Payload, verbose: bool = False) -> dict[str, object]:
        return _verdict(registry.test(subject, _given(body), version), verbose)


def _settings(app: FastAPI, registry: Registry) -> None:
    @app.get("/config")
    def config() -> dict[str, str]:
        return {"compatibilityLevel": registry.level()}

    @app.put("/config")
    def set_config(body: Payload) -> dict[str, str]:
        return {"compatibility": registry.set_level(GLOBAL, _level(body))}

    @app.delete("/config")
    def drop_config() -> dict[str, str]:
        return {"compatibilityLevel": registry.drop_level(GLOBAL)}

    @app.get("/config/{subject}")
    def subject_config(subject: str, defaultToGlobal: bool = False) -> dict[str, str]:
        return {"compatibilityLevel": registry.level(subject) if defaultToGlobal else registry.own_level(subject)}

    @app.put("/config/{subject}")
    def set_subject_config(subject: str, body: Payload) -> dict[str, str]:
        return {"compatibility": registry.set_level(subject, _level(body))}

    @app.delete("/config/{subject}")
    def drop_subject_config(subject: str) -> dict[str, str]:
        return {"compatibilityLevel": registry.drop_level(subject)}

    @app.get("/mode")
    def mode() -> dict[str, str]:
        return {"mode": registry.mode()}

    @app.put("/mode")
    def set_mode(body: Payload, force: bool = False) -> dict[str, str]:
        return {"mode": registry.set_mode(GLOBAL, body.get("mode"), force=force)}

    @app.delete("/mode")
    def drop_mode() -> dict[str, str]:
        return {"mode": registry.drop_mode(GLOBAL)}

    @app.get("/mode/{subject}")
    def subject_mode(subject: str, defaultToGlobal: bool = False) -> dict[str, str]:
        return {"mode": registry.mode(subject) if defaultToGlobal else registry.own_mode(subject)}

    @app.put("/mode/{subject}")
    def set_subject_mode(subject: str, body: Payload, force: bool = False) -> dict[str, str]:
        return {"mode": registry.set_mode(subject, body.get("mode"), force=force)}

    @app.delete("/mode/{subject}")
    def drop_subject_mode(subject: str) -> dict[str, str]:
        return {"mode": registry.drop_mode(subject)}


def _server(app: FastAPI) -> None:
    @app.get("/")
    def root() -> dict[str, str]:
        return {}

    @app.get("/contexts")
    def contexts() -> list[str]:
        return ["."]

    @app.get("/v1/metadata/id")
    def identity() -> dict[str, object]:
        return {"scope": {"path": [], "clusters": {"schema-registry-cluster": "caudal"}}}


def _given(body: dict[str, Any]) -> Text:
    return parse(body.get("schema"), body.get("schemaType"), body.get("references"))


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _level(body: dict[str, Any]) -> object:
    level = body.get("compatibility")
    if level is None:
        raise refusals.invalid_level("none given")
    return level


def _body(text: Text) -> dict[str, object]:
    """A schema as the API shows it: the type is said only when it is not Avro, references only when there are any."""
    shown: dict[str, object] = {"schema": text.text}
    if text.references:
        shown["references"] = [r.to_json() for r in text.references]
    return shown


def _full(version: Version) -> dict[str, object]:
    known = {"subject": version.subject, "version": version.version, "id": version.schema_id}
    return {**known, **_body(version.text)}


def _verdict(messages: list[str], verbose: bool) -> dict[str, object]:
    verdict: dict[str, object] = {"is_compatible": not messages}
    return {**verdict, "messages": messages} if verbose else verdict


def _page(items: list[T], offset: int, limit: int) -> list[T]:
    return items[offset:] if limit < 0 else items[offset : offset + limit]
