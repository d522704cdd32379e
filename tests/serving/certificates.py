"""Certificates of authorities of one's own, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


def make_authority(folder: Path, name: str) -> Pair:
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    files = ("-out", pair.cert, "-keyout", pair.key)
    openssl("req", "-x509", *EC, *files, "-days", "2", "-subj", f"/CN={name}")
    return pair


def issue(authority: Pair, folder: Path, name: str) -> Pair:
    """For a server on loopback as for a client."""
    pair, request = Pair(folder / f"{name}.pem", folder / f"{name}.key"), folder / f"{name}.csr"
    extensions = folder / f"{name}.ext"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("req", *EC, "-keyout", pair.key, "-out", request, "-subj", f"/CN={name}")
    signer = ("-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial")
    openssl("x509", "-req", "-in", request, *signer, "-out", pair.cert, "-days", "2", "-extfile", extensions)
    return pair
