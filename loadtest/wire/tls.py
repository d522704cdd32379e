"""Whom a target is trusted by, and who we are to it: TLS for both protocols from the same files."""

import ssl
from pathlib import Path
from typing import Any

import grpc

from loadtest.errors import ConfigError
from loadtest.wire.options import WireOptions


def http_context(options: WireOptions) -> ssl.SSLContext:
    """Checked here for both protocols, since gRPC says of a file that is no good only that the handshake
    failed."""
    context = ssl.create_default_context(cadata=_authorities(options.ca))
    context.set_alpn_protocols(["http/1.1"])
    if options.key is not None and options.certificate is None:
        raise ConfigError(f"key {options.key} is given without its certificate")
    if options.certificate is not None:
        _load_pair(context, options.certificate, options.key)
    return context


def grpc_credentials(options: WireOptions) -> Any:
    http_context(options)
    authorities = None if options.ca is None else _read("CA", options.ca)
    if options.certificate is None:
        return grpc.ssl_channel_credentials(authorities)
    certificate = _read("certificate", options.certificate)
    key = certificate if options.key is None else _read("key", options.key)
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def _authorities(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        text = _read("CA", path).decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"CA {path} holds no certificate in PEM") from None
    return text


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Both may be in one file."""
    whose = key or certificate

    def refuse_password() -> str:
        raise ConfigError(f"key {whose} is encrypted; give it without a password")

    for what, path in (("certificate", certificate), ("key", whose)):
        _read(what, path)
    try:
        context.load_cert_chain(certificate, key, refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"key {whose} is not the key of certificate {certificate}") from None
        reason = error.reason or "no certificate and key in PEM"
        raise ConfigError(f"certificate {certificate} with key {whose}: {reason}") from None


def _read(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} {path}: {error.strerror}") from None
