"""TLS for both protocols, from one certificate; mutual where clients must show one of their own."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from serving.config import SafetyConfig
from serving.errors import StartupError


@dataclass(frozen=True)
class Tls:
    """`context` is for HTTP, `credentials` for gRPC."""

    context: ssl.SSLContext
    credentials: Any


def load_tls(config: SafetyConfig) -> Tls | None:
    """Checked here for both, since gRPC would say no more than that it has no port."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    certificate = _read_certificates("--tls-cert", config.tls_cert)
    key = _read("--tls-key", config.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _load_pair(context, config.tls_cert, config.tls_key)
    authorities = None
    if config.tls_client_ca is not None:
        authorities = _read_certificates("--tls-client-ca", config.tls_client_ca)
        context.load_verify_locations(config.tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    credentials = grpc.ssl_server_credentials(
        [(key, certificate)], authorities, require_client_auth=authorities is not None
    )
    return Tls(context, credentials)


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def refuse_password() -> str:
        raise StartupError(f"--tls-key {key} is encrypted; give it without a password")

    try:
        context.load_cert_chain(certificate, key, refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise StartupError(f"--tls-key {key} is not the key of --tls-cert {certificate}") from None
        reason = error.reason or "no key in PEM"
        raise StartupError(f"--tls-key {key} with --tls-cert {certificate}: {reason}") from None


def _read_certificates(flag: str, path: Path) -> bytes:
    content = _read(flag, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise StartupError(f"{flag} {path} holds no certificate in PEM") from None
    return content


def _read(flag: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartupError(f"{flag} {path}: {error.strerror}") from None
