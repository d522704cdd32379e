"""Who may ask, as both protocols need it."""

import logging
from dataclasses import dataclass

from serving.config import ServerConfig, is_loopback
from serving.tls import Tls, load_tls
from serving.tokens import Tokens, read_tokens

log = logging.getLogger("exitgate")


@dataclass(frozen=True, kw_only=True)
class Safety:
    """None is no tokens, and no TLS."""

    tokens: Tokens | None = None
    tls: Tls | None = None


NO_SAFETY = Safety()


def load_safety(config: ServerConfig) -> Safety:
    asked = config.safety
    safety = Safety(
        tokens=None if asked.token_file is None else read_tokens(asked.token_file), tls=load_tls(asked)
    )
    if not is_loopback(config.host):
        if not asked.knows_clients:
            log.warning("--insecure: whoever reaches %s may ask", config.host)
        elif safety.tls is None:
            log.warning("tokens go to %s in the clear; --tls-cert and --tls-key would hide them", config.host)
    return safety
