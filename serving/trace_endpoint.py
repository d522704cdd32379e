"""Where a collector is asked to take spans: OTLP over HTTP."""

from urllib.parse import urlsplit

TRACES_PATH = "/v1/traces"
PLAIN_URL = "an http:// or https:// URL without a user, a query or a fragment"


def is_plain_url(text: str) -> bool:
    """A user's password would be a secret among the settings, which are logged."""
    try:
        parts = urlsplit(text)
        is_server = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_server and "@" not in parts.netloc and not parts.query and not parts.fragment


def spans_url(endpoint: str) -> str:
    """What spans are posted to: a collector that is named without a path has OTLP's own."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + TRACES_PATH
