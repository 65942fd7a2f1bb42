"""Errors of the intake, each with its HTTP status. The body of every one is JSON: code, what, path.

CaudalError
└── HttpRefused       the request was refused before any record was judged
"""

from collections.abc import Mapping

from caudal.errors import CaudalError


class HttpRefused(CaudalError):
    """A request that is refused as a whole: `status`, `code`, and the `path` of the field when one is to blame."""

    code = "CDL-HTTP"

    def __init__(
        self, status: int, code: str, what: str, *, path: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(what, code=code, where=path)
        self.status, self.path, self.headers = status, path, dict(headers or {})

    def body(self) -> dict[str, object]:
        """The answer's JSON."""
        return {"code": self.code, "what": self.what, **({"path": self.path} if self.path else {})}


def busy(what: str, retry_after: float, code: str = "CDL-UNREACHABLE") -> HttpRefused:
    """503 with Retry-After: the same request may succeed later."""
    return HttpRefused(503, code, what, headers={"Retry-After": str(max(1, round(retry_after)))})
