"""What a server says once it is ready."""

from serving.config import ServerConfig
from serving.registry import Registry


def announcement(config: ServerConfig, registry: Registry, http_port: int, grpc_port: int) -> list[str]:
    """Lines; the last, which a script may wait for, begins with `ready`. An s says that there is TLS."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    s = "" if config.safety.tls_cert is None else "s"
    return [
        *(
            f"{served.name}: {served.num_stages} stages, policies {', '.join(served.cascade.policies)}"
            for served in registry.cascades.values()
        ),
        f"ready: http{s}://{host}:{http_port} grpc{s}://{host}:{grpc_port}",
    ]
