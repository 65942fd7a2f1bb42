"""Who may push: a bearer token of role ingest, bound to one tenant and, if it says so, to contracts."""

from caudal.tokens import Principal, TokenStore
from producers.intake.errors import HttpRefused

BUILT_IN = "caudal."


def authenticate(tokens: TokenStore, authorization: str | None) -> Principal:
    """The principal of a request's Authorization header. Raises HttpRefused 401, the same for every reason."""
    scheme, _, token = (authorization or "").partition(" ")
    principal = tokens.resolve(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
    if principal is None:
        raise HttpRefused(
            401, "CDL-UNAUTHORIZED", "a valid ingest token is needed", headers={"WWW-Authenticate": "Bearer"}
        )
    return principal


def authorize(principal: Principal, contract_id: str, internal: tuple[str, ...]) -> str:
    """The tenant that this principal may push events of the contract for. Raises HttpRefused 403.

    Contracts of the platform's own (`caudal.*`) are never pushed; `internal` ones only by a token that names them.
    """
    named = contract_id in principal.contracts
    allowed = principal.may_write(contract_id) and (named or contract_id not in internal)
    if principal.tenant is None or not allowed or contract_id.startswith(BUILT_IN):
        raise HttpRefused(403, "CDL-FORBIDDEN", "this token may not push events of this contract")
    return principal.tenant
