# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that the controller makes, on a real server: who verifies is let in, and a renewed one needs no restart."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from cryptography import x509

from ansible_collections.pgmahout.cluster.plugins.lookup import pg_certificate
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg import certificates
from ansible_collections.pgmahout.cluster.plugins.plugin_utils._pg.certificates import Asked
from tests.support.certificates import NOW
from tests.support.postgres import Server, bindir, scratch_server, server_user

ROOT = Path(__file__).parents[2]
#: Debian's build, which is linked with OpenSSL; the wheels are not.
MAJOR = 15
HBA = "local all all trust\nhostssl all all 127.0.0.1/32 trust\nhostssl replication all 127.0.0.1/32 trust\n"
#: The first message of a client that wants TLS: its length, and a code in place of a protocol version (chapter 55.7).
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


class Tls:
    """A server with TLS, and the secrets file that its certificate comes from."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.secrets, self.ca = server, str(home / "secrets.json"), home / "ca.crt"

    def certificate(self, now: datetime = NOW, **variables: Any) -> dict[str, str]:
        asked = Asked("node1", {"pg_cluster_name": "orders", "pg_server_address": "127.0.0.1", **variables}, now)
        return certificates.made(asked, self.secrets, keep=True, tell=lambda _reason: None)

    def install(self, made: dict[str, str]) -> None:
        for name, text in (("server.crt", made["certificate"]), ("server.key", made["key"])):
            file = self.server.data / name
            file.touch(0o600)
            file.write_text(text)
            owner = self.server.data.stat()
            os.chown(file, owner.st_uid, owner.st_gid)
        self.ca.write_text(made["ca"])

    def configure(self, **settings: str) -> None:
        for name, value in settings.items():
            self.server.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.server.sql("SELECT pg_reload_conf()")
        for name, value in settings.items():
            until(partial(self._is, name, value))

    def _is(self, name: str, value: str) -> bool:
        return self.server.sql(f"SHOW {name}") == [(value,)]

    def connect(self, **keywords: str) -> Any:
        wanted = {"host": "127.0.0.1", "sslmode": "verify-full", "sslrootcert": str(self.ca), **keywords}
        return self.server.connect(**wanted)

    def shown(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> x509.Certificate:
        """The certificate that the server shows to a client that speaks one version of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        # OpenSSL itself offers the old versions at no higher level.
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as plain:
            plain.sendall(SSL_REQUEST)
            assert plain.recv(1) == b"S"
            with context.wrap_socket(plain) as closed:
                held = closed.getpeercert(binary_form=True)
        assert held is not None
        return x509.load_der_x509_certificate(held)


def until(reached: Callable[[], bool]) -> None:
    """Wait for a state of the server."""
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end, "the server did not get there in 20 s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tls]:
    if bindir(MAJOR) is None:
        pytest.skip(f"PostgreSQL {MAJOR} is not installed on this machine")
    home = tmp_path_factory.mktemp("tls")
    with scratch_server(MAJOR) as server:
        found = Tls(server, home)
        found.install(found.certificate())
        (server.data / "pg_hba.conf").write_text(HBA)
        found.configure(ssl="on")
        yield found


def test_a_client_that_verifies_in_full_is_let_in_over_tls(tls: Tls) -> None:
    for host in ("127.0.0.1", "node1"):
        with contextlib.closing(tls.connect(host=host, hostaddr="127.0.0.1")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert cursor.fetchone() == (True, "TLSv1.3")


def test_a_server_by_another_name_is_not_taken(tls: Tls) -> None:
    with pytest.raises(psycopg2.OperationalError, match='server certificate for "127.0.0.1" .*does not match host name "node2"'):
        tls.connect(host="node2", hostaddr="127.0.0.1")


def test_a_client_with_another_authority_refuses_the_server(tls: Tls, tmp_path: Path) -> None:
    other = Tls(tls.server, tmp_path)
    other.ca.write_text(other.certificate()["ca"])
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        other.connect()


def test_a_client_without_tls_is_refused(tls: Tls) -> None:
    with pytest.raises(psycopg2.OperationalError, match="no pg_hba.conf entry for .*, no encryption"):
        tls.connect(sslmode="disable")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_a_client_that_speaks_tls_1_1_at_most_is_refused(tls: Tls) -> None:
    assert tls.shown(ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError) as refused:
        tls.shown(ssl.TLSVersion.TLSv1_1)
    # The server's alert, not a complaint of the client.
    assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_a_standby_clones_and_verifies_in_full(tls: Tls) -> None:
    home = tls.server.home
    (home / "ca.crt").write_text(tls.ca.read_text())
    # Without sslcert, libpq looks below HOME for one of the client's, and HOME is that of the account that runs the tests.
    wanted = {"host": "127.0.0.1", "port": tls.server.port, "user": "postgres", "sslmode": "verify-full",
              "sslrootcert": home / "ca.crt", "sslcert": home / "none"}
    conninfo = " ".join(f"{name}={value}" for name, value in wanted.items())
    tls.server.run("pg_basebackup", "-d", conninfo, "-D", str(home / "clone"), "-X", "stream", "-c", "fast")
    assert (home / "clone" / "PG_VERSION").read_text() == f"{MAJOR}\n"


def test_a_server_that_comes_back_verifies_whom_it_asks(tls: Tls, tmp_path: Path) -> None:
    """A copy of the server may not be started beside it; who cannot be verified is not heard."""
    home, other = tls.server.home, Tls(tls.server, tmp_path)
    program, peers, data, ca = home / "start-guard", home / "peers", home / "twin", home / "ca.crt"
    shutil.copy(ROOT / "roles" / "pg_server" / "files" / "start-guard", program)
    peers.write_text(f"host=127.0.0.1 port={tls.server.port} dbname=postgres user=postgres sslmode=verify-full "
                     f"sslrootcert={ca}\n")
    shutil.copytree(tls.server.data, data)
    for path in (data, *data.rglob("*")):
        shutil.chown(path, server_user() or path.owner())
    for trusted, code, told in ((tls.ca.read_text(), 1, "takes writes on timeline 1"),
                                (other.certificate()["ca"], 0, "certificate verify failed")):
        ca.write_text(trusted)
        done = subprocess.run([program, bindir(MAJOR) or "", data, peers], user=server_user(), env={"PATH": os.environ["PATH"]},
                              cwd="/", text=True, capture_output=True)
        assert done.returncode == code
        assert told in done.stderr


def test_a_renewed_certificate_is_shown_after_a_reload_and_no_connection_breaks(tls: Tls) -> None:
    with contextlib.closing(tls.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        before, pid = tls.shown(), cursor.fetchone()
        renewed = tls.certificate(NOW + timedelta(seconds=2), pg_server_tls_issued_after=NOW + timedelta(seconds=1))
        wanted = x509.load_pem_x509_certificate(renewed["certificate"].encode())
        tls.install(renewed)
        assert tls.shown() == before != wanted
        tls.server.sql("SELECT pg_reload_conf()")
        until(lambda: tls.shown() == wanted)
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone() == pid
        tls.connect().close()


INVENTORY = """
all:
  vars: {pg_cluster_secrets_file: "{{ inventory_dir }}/secrets.json"}
  children:
    orders:
      hosts:
        node1: {ansible_host: 127.0.0.1, pg_server_tls_issued_after: 2026-01-01T10:00:00Z}
      vars: {pg_cluster_name: orders}
"""


def test_a_user_gets_the_authority_by_the_command_of_the_documentation(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(INVENTORY)
    found = re.search(r"^# (ansible .*\\)\n# (.*)$", pg_certificate.EXAMPLES, re.MULTILINE)
    assert found is not None
    program, *arguments = shlex.split(found[1].rstrip("\\") + found[2])
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    for expected in ("CHANGED", "SUCCESS"):
        done = subprocess.run([Path(sys.executable).parent / program, *arguments], cwd=tmp_path, env=environment,
                              capture_output=True, text=True, check=True)
        assert expected in done.stdout
        assert "PRIVATE KEY" not in done.stdout + done.stderr
    held = json.loads((tmp_path / "secrets.json").read_text())["/certificates"]
    assert (tmp_path / "orders-ca.crt").read_text() == held["authority"]["certificate"]
