"""Arguments of what is tested, and of how it is spoken to."""

import argparse
from pathlib import Path

from loadtest.commands.parser import Parser, add_whole
from loadtest.config import AS_SERVED, Generation, Subject
from loadtest.errors import ConfigError
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target
from loadtest.wire.token_file import read_token


def add_subject(parser: Parser) -> None:
    parser.add_argument(
        "urls",
        nargs="+",
        metavar="URL",
        help="http://HOST:PORT or grpc://HOST:PORT, with TLS https:// or grpcs://; several are compared",
    )
    group = parser.add_argument_group("what is tested")
    group.add_argument(
        "--model",
        required=True,
        metavar="NAME[,...]",
        help="cascades, or any classifiers; several are compared",
    )
    group.add_argument(
        "--policies",
        metavar="A,B,...",
        help=f"of a cascade (default: all that it has); {AS_SERVED} names none, so that the server's own "
        "choice and its gears hold",
    )
    group.add_argument(
        "--samples", required=True, type=Path, metavar="FILE.npz", help="inputs by wire name, and labels"
    )
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="SCORES.npz",
        help="a scores file by whose rows difficulty is ranked (default: the samples themselves)",
    )
    group.add_argument(
        "--output", metavar="NAME", help="of a model that is no cascade: the output with a number per class"
    )
    _add_wire(parser.add_argument_group("connection"))


def _add_wire(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--allow-remote", action="store_true", help="allow hosts other than loopback")
    group.add_argument("--json", action="store_true", help="tensors as JSON over HTTP (default: binary)")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="a bearer token to show")
    group.add_argument("--tls-ca", type=Path, metavar="PEM", help="whom to trust (default: the system's)")
    group.add_argument("--tls-cert", type=Path, metavar="PEM", help="the client's certificate")
    group.add_argument("--tls-key", type=Path, metavar="PEM", help="and its key")
    add_whole(group, "--processes", 1, "processes that make the load")


def subject_of(options: argparse.Namespace) -> Subject:
    """Asks no server; reads the token's file alone."""
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ConfigError("--tls-cert and --tls-key go together")
    return Subject(
        targets=tuple(parse_target(url, allow_remote=options.allow_remote) for url in options.urls),
        models=_names(options.model),
        policies=_names(options.policies) if options.policies else (),
        samples=options.samples,
        ood=getattr(options, "ood", None),
        calibration=options.calibration,
        wire=WireOptions(
            token=None if options.token_file is None else read_token(options.token_file),
            ca=options.tls_ca,
            certificate=options.tls_cert,
            key=options.tls_key,
            is_json=options.json,
            output=options.output,
        ),
    )


def generation_of(options: argparse.Namespace) -> Generation:
    return Generation(processes=options.processes)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))
