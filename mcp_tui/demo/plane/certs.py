"""A certificate authority of this run alone, and what it signs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Files, readable by their owner only. ``kubelet`` is the client pair shown to nodes."""

    ca: Path
    server: Path
    server_key: Path
    kubelet: Path
    kubelet_key: Path


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that nobody else can read, in one step."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    temporary.replace(path)


def make_certificates(directory: Path) -> Certificates:
    """Makes an authority, a server pair for 127.0.0.1 and localhost, and a client pair.

    The authority's key is never written: nothing can be signed later.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    # A day back, so that a clock that is slightly off does not matter.
    begin = datetime.now(UTC) - timedelta(days=1)
    end = begin + timedelta(days=365)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mcp-tui-demo-ca")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )

    def signed(
        name: str, common: str, group: str, usage: x509.ObjectIdentifier
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
        if group:
            parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
        names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        certificate = (
            builder(x509.Name(parts), key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(identifier, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        paths = directory / f"{name}.crt", directory / f"{name}.key"
        write_private(paths[0], certificate.public_bytes(serialization.Encoding.PEM))
        write_private(
            paths[1],
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
        return paths

    public = authority_key.public_key()
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    root = (
        builder(authority, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    ca = directory / "ca.crt"
    write_private(ca, root.public_bytes(serialization.Encoding.PEM))
    server, server_key = signed("server", "kube-apiserver", "", ExtendedKeyUsageOID.SERVER_AUTH)
    kubelet, kubelet_key = signed(
        "kubelet-client",
        "kube-apiserver-kubelet-client",
        "system:masters",
        ExtendedKeyUsageOID.CLIENT_AUTH,
    )
    return Certificates(ca, server, server_key, kubelet, kubelet_key)
