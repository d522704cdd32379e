"""The one channel to Triton: its members' calls share the connections, one to each address.

gRPC itself spreads the calls over the addresses that answer, connects again, and notices an end that went
silent. It repeats no call.
"""

import json
import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import grpc

from serving.errors import StartupError
from serving.triton.config import Address, TlsConfig, TritonConfig

MAX_SENT_BYTES = 2**31 - 1
"""What protobuf can hold."""
MAX_RECEIVED_BYTES = 2**28

OPTIONS = (
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", MAX_SENT_BYTES),
    ("grpc.max_receive_message_length", MAX_RECEIVED_BYTES),
    # A ping while calls are under way. Triton hangs up on a third that none of its answers came between;
    # gRPC sends at most two before it has something to send. It has only one on its way, and would wait a
    # minute for one with which it measures the line.
    ("grpc.keepalive_time_ms", 2000),
    ("grpc.keepalive_timeout_ms", 3000),
    ("grpc.http2.ping_timeout_ms", 3000),
    ("grpc.http2.bdp_probe", 0),
    # The least time that one attempt to connect gets, and the pauses between attempts.
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
)


def connect(config: TritonConfig) -> grpc.Channel:
    """A channel that connects when it is first used. StartupError where a file cannot be read or a name not
    be resolved."""
    goal = target(config.addresses)
    if config.tls is None:
        return grpc.insecure_channel(goal, OPTIONS)
    return grpc.secure_channel(goal, _credentials(config.tls), [*OPTIONS, *_named(config.tls)])


def target(addresses: Iterable[Address]) -> str:
    """In gRPC's own notation.

    One address is resolved by gRPC, again whenever a connection is lost. gRPC takes several only as numbers,
    all of one family: names are resolved here and now, for good, and IPv4 goes as part of IPv6 where
    both occur.
    """
    addresses = tuple(addresses)
    if len(addresses) == 1:
        return f"dns:///{addresses[0]}"
    found = dict.fromkeys(number for address in addresses for number in _numbers(address))
    if all(isinstance(ip, IPv4Address) for ip, _ in found):
        return "ipv4:" + ",".join(f"{ip}:{port}" for ip, port in found)
    return "ipv6:" + ",".join(f"[{_as_v6(ip)}]:{port}" for ip, port in found)


def _numbers(address: Address) -> list[tuple[IPv4Address | IPv6Address, int]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StartupError(f"Triton at {address}: {error.strerror}") from None
    return [(ip_address(place[0]), address.port) for *_, place in found]


def _as_v6(ip: IPv4Address | IPv6Address) -> str:
    return f"::ffff:{ip}" if isinstance(ip, IPv4Address) else str(ip)


def _named(tls: TlsConfig) -> list[tuple[str, str]]:
    return [] if tls.server_name is None else [("grpc.default_authority", tls.server_name)]


def _credentials(tls: TlsConfig) -> grpc.ChannelCredentials:
    roots, chain, key = map(_read, (tls.root_certificates, tls.certificate_chain, tls.private_key))
    _check(tls, roots)
    return grpc.ssl_channel_credentials(roots, key, chain)


def _read(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise StartupError(f"{file}: {error.strerror}") from None


def _check(tls: TlsConfig, roots: bytes | None) -> None:
    """gRPC would only fail to connect, without saying why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if roots is not None:
            context.load_verify_locations(cadata=roots.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise StartupError(f"{tls.root_certificates}: holds no certificates in PEM format") from None
    try:
        if tls.certificate_chain is not None:
            context.load_cert_chain(tls.certificate_chain, tls.private_key, password="")
    except (ssl.SSLError, ValueError, OSError):
        raise StartupError(
            f"{tls.certificate_chain}, {tls.private_key}: no certificate with its key, in PEM format and "
            "unencrypted"
        ) from None
