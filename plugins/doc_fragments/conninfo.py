# Copyright (c) 2026, the pgmahout founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments: a connection string of libpq as a dictionary."""

from __future__ import annotations


class ModuleDocFragment:
    """The option ``conninfo``: the keywords of libpq."""

    DOCUMENTATION = r"""
options:
  conninfo:
    description:
      - Where the server is and how to log in, as keywords of libpq (chapter 32.1.2 of PostgreSQL's documentation).
      - Values are any text; quote in YAML what would lose leading zeros. What is stored is compared by meaning, not as text.
    type: dict
    suboptions:
      host:
        description:
          - Host names, addresses or socket directories of the server, separated by commas.
        type: str
      hostaddr:
        description:
          - Addresses that spare looking O(conninfo.host) up, separated by commas.
        type: str
      port:
        description:
          - Ports, one for all hosts or one for each, separated by commas.
        type: str
      dbname:
        description:
          - Database.
        type: str
      user:
        description:
          - Role to log in as.
        type: str
      passfile:
        description:
          - File with passwords, read by the server's own account; see chapter 32.16 of PostgreSQL's documentation.
        type: str
      require_auth:
        description:
          - Authentication methods that the client accepts (libpq 16).
        type: str
      channel_binding:
        description:
          - C(disable), C(prefer) or C(require).
        type: str
      connect_timeout:
        description:
          - Time for a connection attempt, in seconds.
        type: str
      options:
        description:
          - Settings for the session, as arguments of C(postgres).
        type: str
      application_name:
        description:
          - Name in C(pg_stat_activity), and for synchronous replication.
        type: str
      fallback_application_name:
        description:
          - The same, used when there is no C(application_name).
        type: str
      keepalives:
        description:
          - V(1) to use TCP keepalives, V(0) not to.
        type: str
      keepalives_idle:
        description:
          - Idle time before a keepalive, in seconds.
        type: str
      keepalives_interval:
        description:
          - Time before a keepalive is repeated, in seconds.
        type: str
      keepalives_count:
        description:
          - Number of lost keepalives after which the connection is dead.
        type: str
      tcp_user_timeout:
        description:
          - Time that data may stay unacknowledged, in milliseconds.
        type: str
      gssencmode:
        description:
          - C(disable), C(prefer) or C(require).
        type: str
      sslmode:
        description:
          - C(disable), C(allow), C(prefer), C(require), C(verify-ca) or C(verify-full).
        type: str
      sslnegotiation:
        description:
          - C(postgres) or C(direct) (libpq 17).
        type: str
      sslcompression:
        description:
          - V(1) or V(0).
        type: str
      sslcert:
        description:
          - File with the client's certificate.
        type: str
      sslkey:
        description:
          - File with its key.
        type: str
      sslcertmode:
        description:
          - C(disable), C(allow) or C(require) (libpq 16).
        type: str
      sslrootcert:
        description:
          - File with the certificates of trusted authorities, or C(system) (libpq 16).
        type: str
      sslcrl:
        description:
          - File with revoked certificates.
        type: str
      sslcrldir:
        description:
          - Directory with revoked certificates (libpq 14).
        type: str
      sslsni:
        description:
          - V(1) or V(0) (libpq 14).
        type: str
      requirepeer:
        description:
          - Account that the server must run as, over a socket.
        type: str
      ssl_min_protocol_version:
        description:
          - Oldest TLS version, such as C(TLSv1.2).
        type: str
      ssl_max_protocol_version:
        description:
          - Newest TLS version.
        type: str
      min_protocol_version:
        description:
          - Oldest version of PostgreSQL's protocol (libpq 18).
        type: str
      max_protocol_version:
        description:
          - Newest version of PostgreSQL's protocol (libpq 18).
        type: str
      krbsrvname:
        description:
          - Kerberos service name.
        type: str
      gsslib:
        description:
          - C(gssapi) or C(sspi).
        type: str
      gssdelegation:
        description:
          - V(1) or V(0) (libpq 17).
        type: str
      service:
        description:
          - Entry of the service file.
        type: str
      target_session_attrs:
        description:
          - Which of several hosts is right, such as C(read-write), which follows the primary.
        type: str
      load_balance_hosts:
        description:
          - C(disable) or C(random) (libpq 16).
        type: str
      oauth_issuer:
        description:
          - Issuer URL (libpq 18).
        type: str
      oauth_client_id:
        description:
          - Client identifier (libpq 18).
        type: str
      oauth_scope:
        description:
          - Scopes (libpq 18).
        type: str
      password:
        description:
          - Password. It is masked in results, and is stored in clear in the catalog or file that the string is for; a
            O(conninfo.passfile) is not.
        type: str
      sslpassword:
        description:
          - Password of the key in O(conninfo.sslkey); masked.
        type: str
      oauth_client_secret:
        description:
          - Client secret (libpq 18); masked.
        type: str
"""
