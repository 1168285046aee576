"""What goes to the log, as text or as JSON lines, and what never does: anything that may hold a question.

Of an exception its type and the lines of code it passed through are logged, never its message, which may quote what was
asked. Of libraries other than uvicorn the message is withheld too, for the same reason; where it comes from is named. Nothing
is written but to the standard error stream.
"""

import logging
import logging.config
import sys
import threading
import time
import traceback
import types
import warnings
from typing import Any, Literal

from pythonjsonlogger.orjson import OrjsonFormatter

LogFormat = Literal["text", "json"]
# Loggers whose messages are fixed words and figures. Those of other libraries may quote a request.
OWN = ("citewell", "web", "index", "qa", "server", "uvicorn")
REQUESTS = "citewell.requests"
# What a JSON line may hold; a field that a library adds to its records is left out.
FIELDS = ("time", "level", "logger", "message", "exception", "method", "route", "status", "ms", "request_id")
_NAMES = {"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"}
log = logging.getLogger("citewell")


def configure_logs(form: LogFormat) -> None:
    """Send every log record, warning and failure of a thread to the standard error stream in this form."""
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr", "formatter": form, "filters": ["withhold"]}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"text": {"()": TextLines}, "json": {"()": JsonLines}},
            "filters": {"withhold": {"()": Withhold}},
            "handlers": {"stderr": handler},
            "root": {"level": "WARNING", "handlers": ["stderr"]},
            "loggers": {"citewell": {"level": "INFO"}, REQUESTS: {"level": "INFO" if form == "json" else "WARNING"}},
        }
    )
    warnings.showwarning = _log_warning
    threading.excepthook = _log_thread
    sys.excepthook = _log_end


class Withhold(logging.Filter):
    """Lets every record pass, those of other libraries without their words."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True, having put where a foreign record comes from in the place of what it says."""
        if record.name.partition(".")[0] not in OWN:
            record.msg, record.args = f"message withheld ({record.name}, {record.module}:{record.lineno})", None
        return True


class TextLines(logging.Formatter):
    """Lines for people: notices as they are, anything worse with its level before it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as text."""
        record.exc_text = None
        words = super().format(record)
        return words if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {words}"

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name that logging calls it by
        """Return types and lines of code, without messages."""
        return stack_of(ei[1])


class JsonLines(OrjsonFormatter):
    """One JSON object a line, its time in UTC."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__(["asctime", "levelname", "name", "message"], rename_fields=_NAMES)

    def format(self, record: logging.LogRecord) -> str:
        """Return one record as JSON."""
        record.exc_text = None
        return str(super().format(record))

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that a line may hold."""
        return {name: log_data[name] for name in FIELDS if name in log_data}

    def formatException(self, ei: Any) -> str:  # noqa: N802  the name that logging calls it by
        """Return types and lines of code, without messages."""
        return stack_of(ei[1])


def stack_of(error: BaseException | None) -> str:
    """Return an exception's type and the lines of code it passed through, and those of its causes; never a message."""
    parts: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        lines = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{lines}{_kind(error)}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhile handling, or caused by:\n".join(parts)


def _kind(error: BaseException) -> str:
    """Name an exception's type, and those of what a group holds with their lines of code."""
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if not isinstance(error, BaseExceptionGroup):
        return name
    return "\n".join([f"{name} of:", *(stack_of(held) for held in error.exceptions)])


def _log_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
) -> None:  # the signature of warnings.showwarning
    """Log where a warning comes from; its words may quote a value."""
    del message, file, line
    log.warning("%s at %s:%d", category.__name__, filename, lineno)


def _log_thread(failed: threading.ExceptHookArgs) -> None:
    log.error("a thread failed", exc_info=failed.exc_value)


def _log_end(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    del trace
    if not issubclass(kind, KeyboardInterrupt):
        log.critical("ended by an error", exc_info=error)
