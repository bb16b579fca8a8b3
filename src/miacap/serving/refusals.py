"""Why a request is not answered: a status and a sentence, as JSON `{"error": ...}`."""

from starlette.responses import JSONResponse

__all__ = ["Refused", "told"]


class Refused(Exception):
    """A request that is refused.

    Args:
        status: of HTTP, 4xx or 503.
        sentence: what was wrong and what to do.
        retry_after: seconds, where another try may succeed.
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after


def told(refused: Refused) -> JSONResponse:
    """Give the answer."""
    headers = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
    return JSONResponse({"error": refused.sentence}, refused.status, headers)
