# SPDX-License-Identifier: MIT
"""A site with certificates of a test authority, and clients that check them."""
import os
import socket
import ssl

from certificates import Maker, write
from harness import Pop, Site, free_port

HOST = "mail.example.org"


def context_for(authority, version=None):
    """A client's context; without `authority` it takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(authority)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def secure(connection, context, **more):
    return Pop(context.wrap_socket(connection, server_hostname=HOST, **more))


class Secured(Pop):
    """Behind STLS: there is no second greeting."""

    def __init__(self, connection):
        self.socket = connection
        self.file = connection.makefile("rb")
        self.greeting = b""


def stls(plain, context):
    plain.ok("STLS")
    return Secured(context.wrap_socket(plain.socket, server_hostname=HOST))


class TlsSite(Site):
    def __init__(self, options=None, **more):
        super().__init__(options, **more)
        self.maker = Maker(self.root, HOST)
        self.certificate = os.path.join(self.root, "certs", "cert.pem")
        self.root_certificate = self.maker.root
        write(self.certificate, self.maker.pem(self.maker.key, self.maker.leaf, self.maker.middle), 0o600)
        self.own(os.path.dirname(self.certificate))
        self.options = {"tls-support": "stls", "tls-server-cert-file": self.certificate, **self.options}
        self.tls_port = None
        self.listening = {}

    def more_certificates(self):
        """For another name, and for the same name with an RSA key."""
        maker, paths = self.maker, []
        rsa = maker.new_key("rsa", 2048)
        for name, key, leaf in (("other", maker.other_name_key, maker.other_name), ("rsa", rsa, maker.of_middle("rsa", key=rsa))):
            paths.append(write(os.path.join(self.root, "certs", name + ".pem"), maker.pem(key, leaf, maker.middle), 0o600))
        self.own(os.path.dirname(self.certificate))
        self.options["tls-more-cert-files"] = paths

    def start_tls(self, **more):
        self.tls_port = free_port()
        self.start([f"tls:127.0.0.1:{self.tls_port}"], **more)
        self.listening = {"listen": f"127.0.0.1:{self.port}"}

    def connect_tls(self):
        return socket.create_connection(("127.0.0.1", self.tls_port), timeout=20)

    def replace(self, text):
        """In one step, as every careful tool does it."""
        temporary = self.certificate + ".new"
        write(temporary, text, 0o600)
        self.own(temporary)
        os.rename(temporary, self.certificate)
