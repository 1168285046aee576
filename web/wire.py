"""What uvicorn itself answers to bytes that are no HTTP: in the one error shape, with the headers of every response."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from web.headers import SECURITY_HEADERS, encoded
from web.problem import PROBLEM_TYPE, Problem, problem_body

_BODY = problem_body(Problem(400, "Bad Request", "This is no valid HTTP request."))
_HEADERS = {
    "Content-Type": PROBLEM_TYPE,
    "Content-Length": str(len(_BODY)),
    "Connection": "close",
    **SECURITY_HEADERS,
}
_ANSWER = b"".join(
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        *(name + b": " + value + b"\r\n" for name, value in encoded(_HEADERS)),
        b"\r\n",
        _BODY,
    ]
)


class Wire(HttpToolsProtocol):
    """uvicorn's protocol for HTTP, with our answer to what is none."""

    def send_400_response(self, msg: str) -> None:
        """Send the problem and close the connection."""
        del msg
        self.transport.write(_ANSWER)
        self.transport.close()
