"""The security headers of every response, errors too, as they go over the wire.

Strict-Transport-Security is the business of the proxy that speaks TLS. Nothing here depends on who asks.
"""

from collections.abc import Mapping

# Trusted Types (W3C): no script of ours makes HTML, scripts or worker addresses from strings, and none may.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}
# The widget's own files, which pages of every origin load.
WIDGET_PATHS = ("/widget.js", "/widget/")


def encoded(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Return headers as ASGI servers take them."""
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


_HEADERS = encoded(SECURITY_HEADERS)
_WIDGET_HEADERS = encoded({**SECURITY_HEADERS, "Cross-Origin-Resource-Policy": "cross-origin"})


def is_widget(path: str) -> bool:
    """Say whether a path is one of the widget's own files."""
    return path == WIDGET_PATHS[0] or path.startswith(WIDGET_PATHS[1])


def security_headers(path: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the security headers of a response from this path."""
    return _WIDGET_HEADERS if is_widget(path) else _HEADERS
