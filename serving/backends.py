"""Where members run: in this process, or in a Triton, which may be this server's own to start and stop."""

import threading
from pathlib import Path

from cascade.cascade_file import Cascade
from cascade.cascade_file import Member as MemberSpec
from serving.config import BackendConfig, SessionConfig
from serving.errors import StartupError
from serving.members import Member, load_member
from serving.triton.config import BundledConfig, TlsConfig, TritonConfig
from serving.triton.loading import Triton
from serving.triton.supervised import Supervised


class TritonBackend:
    """Phases: `start`, any number of `load_member`, `stop`; all block. `stop` comes when nobody calls members
    any more. What is embedded runs as `session` says."""

    def __init__(
        self, config: BackendConfig, repository: Path, session: SessionConfig, started: str | None = None
    ) -> None:
        """`started` is where the bundled Triton answers, if another process has started it."""
        self._config = config
        self._session = session
        bundled = BundledConfig(repository=repository, log=config.triton_log)
        self._started = () if started is None else (started,)
        self._supervised = Supervised(bundled) if config.start_triton and started is None else None
        self._triton: Triton | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    def start(self) -> None:
        """StartupError where there is no Triton, none can be started, or `stop` comes meanwhile."""
        own = (self._supervised.start(),) if self._supervised is not None else self._started
        self._connected(own).wait_until_live()

    def _connected(self, own: tuple[str, ...]) -> Triton:
        with self._lock:
            if self._is_stopped:
                raise StartupError("stopped before Triton was there")
            self._triton = Triton(_triton_config(self._config, own))
            return self._triton

    def load_member(self, repository: Path, spec: MemberSpec, cascade: Cascade, max_rows: int) -> Member:
        """Of the first stages in this process, else in Triton."""
        stages = self._config.embed_stages
        if stages and spec.name in cascade.members_through(stages - 1):
            return load_member(repository, spec, cascade, max_rows, self._session)
        if self._triton is None:
            raise AssertionError("members are loaded once Triton is there")
        return self._triton.load_member(repository, spec, cascade, max_rows)

    def stop(self) -> None:
        """Ends a `start` too."""
        with self._lock:
            self._is_stopped = True
        if self._triton is not None:
            self._triton.close()
        if self._supervised is not None:
            self._supervised.stop()


def _triton_config(config: BackendConfig, own: tuple[str, ...]) -> TritonConfig:
    named = (config.triton_url or "").split(",")
    return TritonConfig(
        urls=own or tuple(url.strip() for url in named),
        is_ours=config.start_triton,
        call_timeout_s=config.triton_timeout_s,
        tls=_tls(config),
        use_shared_memory=config.triton_shared_memory,
    )


def _tls(config: BackendConfig) -> TlsConfig | None:
    given = (config.triton_tls_ca, config.triton_tls_cert, config.triton_tls_key, config.triton_tls_name)
    if given == (None, None, None, None):
        return None
    return TlsConfig(
        root_certificates=config.triton_tls_ca,
        certificate_chain=config.triton_tls_cert,
        private_key=config.triton_tls_key,
        server_name=config.triton_tls_name,
    )
