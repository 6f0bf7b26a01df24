"""What the API server may answer that is not the answer."""

from typing import Final

_LONGEST: Final = 1000  # characters of a message that are of use to a reader


class ApiError(Exception):
    """The API server did not do what it was asked for."""

    def __init__(self, message: str, status: int = 0) -> None:
        """``message`` is the server's own."""
        super().__init__(message[:_LONGEST])
        self.message, self.status = message[:_LONGEST], status


class Conflict(ApiError):
    """Somebody was faster, or holds what we want to have (409)."""


class Forbidden(ApiError):
    """We may not: RBAC, a quota or an admission policy (401, 403)."""


class Invalid(ApiError):
    """What we sent cannot be (400, 422); trying again is of no use."""


class Gone(ApiError):
    """There is no such thing, or no longer (404, 410)."""


class Unavailable(ApiError):
    """No answer, or one that says to come back: 429, 5xx, a broken connection, time ran out."""


def refusal(status: int, message: str) -> ApiError:
    """Return the error for an answer's status."""
    # A field that the schema does not have fails in the merge, which the API server takes for its own mistake (1.34).
    if status == 500 and "failed to create typed patch object" in message:
        return Invalid(message, 422)
    if status in (400, 413, 415, 422):
        return Invalid(message, status)
    return {401: Forbidden, 403: Forbidden, 404: Gone, 409: Conflict, 410: Gone}.get(status, Unavailable)(
        message, status
    )
