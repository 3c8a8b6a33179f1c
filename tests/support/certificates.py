# SPDX-License-Identifier: MIT
"""Certificates of every kind, made by the openssl command: what popcert is judged by must not be made by popcert."""
import os
import subprocess
import time

DAY = 86400


def openssl(*arguments, both=False):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout + done.stderr if both else done.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def stamp(days):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * DAY))


class Maker:
    """A root, an intermediate authority, and certificates of theirs by name; each is made when it is first asked for."""

    def __init__(self, folder, host="mail.example.org"):
        self.folder = os.path.join(folder, "maker")
        self.host = host
        os.makedirs(self.folder)
        self.serial = 1

    def path(self, name):
        return os.path.join(self.folder, name)

    def new_key(self, name, bits=None):
        path = self.path(name + ".key")
        if not os.path.exists(path):
            how = ["-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}"] if bits else ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
            openssl("genpkey", *how, "-out", path)
        return path

    def issue(self, name, key, issuer=None, subject=None, start=-1.0, end=90.0, names=True, digest="sha256", usage="serverAuth", authority=False):
        """A certificate for `key`, by (certificate, key) `issuer` or itself."""
        path = self.path(name + ".pem")
        if os.path.exists(path):
            return path
        lines = ["[new]", f"basicConstraints=critical,CA:{'TRUE' if authority else 'FALSE'}", "subjectKeyIdentifier=hash"]
        lines += ["keyUsage=critical,keyCertSign,cRLSign"] if authority else [f"extendedKeyUsage={usage}"]
        if names and not authority:
            lines.append("subjectAltName=" + (names if isinstance(names, str) else f"DNS:{self.host}"))
        if issuer:
            lines.append("authorityKeyIdentifier=keyid")
        write(self.path(name + ".ext"), "\n".join(lines) + "\n")
        write(self.path("ca.conf"), "\n".join(("[ca]", "default_ca=d", "[d]", f"database={self.path('index')}", f"serial={self.path('serial')}",
                                                f"new_certs_dir={self.folder}", "policy=p", "unique_subject=no", "[p]", "commonName=supplied")) + "\n")
        write(self.path("index"), "")
        write(self.path("serial"), f"{self.serial:04X}\n")
        self.serial += 1
        openssl("req", "-new", "-key", key, "-subj", f"/CN={subject or self.host}", "-out", self.path(name + ".csr"))
        signer = ["-cert", issuer[0], "-keyfile", issuer[1]] if issuer else ["-selfsign", "-keyfile", key]
        openssl("ca", "-batch", "-notext", "-config", self.path("ca.conf"), *signer, "-md", digest, "-in", self.path(name + ".csr"), "-out", path,
                "-startdate", stamp(start), "-enddate", stamp(end), "-extfile", self.path(name + ".ext"), "-extensions", "new")
        return path

    def sign(self, request):
        """What an authority makes of a request."""
        out = self.path("signed.pem")
        extensions = write(self.path("signed.ext"), f"subjectAltName=DNS:{self.host}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", request, "-CA", self.middle, "-CAkey", self.new_key("middle"), "-CAcreateserial", "-days", "60", "-sha256",
                "-extfile", extensions, "-out", out)
        return out

    @staticmethod
    def pem(*paths):
        out = ""
        for path in paths:
            with open(path, encoding="ascii") as file:
                out += file.read()
        return out

    def encrypted_key(self):
        return openssl("pkcs8", "-topk8", "-in", self.key, "-passout", "pass:sesame")

    def old_encrypted_key(self):
        return openssl("ec", "-in", self.key, "-aes128", "-passout", "pass:sesame")

    # The cast.
    root = property(lambda self: self.issue("root", self.new_key("root"), subject="Test Root", end=3000.0, authority=True))
    middle = property(lambda self: self.issue("middle", self.new_key("middle"), (self.root, self.new_key("root")), "Test Middle", end=2000.0, authority=True))
    lower = property(lambda self: self.issue("lower", self.new_key("lower"), (self.middle, self.new_key("middle")), "Test Lower", end=1000.0, authority=True))
    old_middle = property(lambda self: self.issue("old", self.new_key("old"), (self.root, self.new_key("root")), "Test Old", -100.0, -2.0, authority=True))
    key = property(lambda self: self.new_key("leaf"))
    leaf = property(lambda self: self.of_middle("leaf"))
    deep = property(lambda self: self.issue("deep", self.key, (self.lower, self.new_key("lower"))))
    of_old = property(lambda self: self.issue("ofold", self.key, (self.old_middle, self.new_key("old"))))
    expired = property(lambda self: self.of_middle("expired", start=-100.0, end=-1.0))
    future = property(lambda self: self.of_middle("future", start=3.0))
    soon = property(lambda self: self.of_middle("soon", end=9.0))
    long = property(lambda self: self.of_middle("long", end=1500.0))
    sha1 = property(lambda self: self.of_middle("sha1", digest="sha1"))
    client = property(lambda self: self.of_middle("client", usage="clientAuth"))
    other_name_key = property(lambda self: self.new_key("othername"))
    other_name = property(lambda self: self.of_middle("othername", key=self.other_name_key, names="DNS:www.example.org,DNS:*.other.example.org"))
    short_key = property(lambda self: self.new_key("short", 1024))
    short = property(lambda self: self.of_middle("short", key=self.short_key))
    bare_key = property(lambda self: self.new_key("bare"))
    bare = property(lambda self: self.issue("bare", self.bare_key, names=False))
    self_sha1_key = property(lambda self: self.new_key("selfsha1"))
    self_sha1 = property(lambda self: self.issue("selfsha1", self.self_sha1_key, digest="sha1"))
    self_authority_key = property(lambda self: self.new_key("selfauthority"))
    self_authority = property(lambda self: self.issue("selfauthority", self.self_authority_key, authority=True))
    stranger_key = property(lambda self: self.new_key("stranger"))
    stranger = property(lambda self: self.issue("stranger", self.stranger_key, subject="Stranger", authority=True))
    stranger_leaf_key = property(lambda self: self.new_key("strangerleaf"))
    stranger_leaf = property(lambda self: self.issue("strangerleaf", self.stranger_leaf_key, (self.stranger, self.stranger_key)))

    def of_middle(self, name, key=None, **how):
        return self.issue(name, key or self.key, (self.middle, self.new_key("middle")), **how)


def broken_installations(maker):
    """What stands in the one file, what popcert check must find, and its exit code."""
    good = maker.pem(maker.key, maker.leaf, maker.middle)
    leaf_key = maker.pem(maker.key)
    return {
        "well": (good, {}, 0),
        "wrong name": (maker.pem(maker.other_name_key, maker.other_name, maker.middle), {"name-mismatch": "critical"}, 2),
        "common name alone": (maker.pem(maker.bare_key, maker.bare), {"no-names": "critical", "self-signed": "note"}, 2),
        "expired": (maker.pem(maker.key, maker.expired, maker.middle), {"expired": "critical"}, 2),
        "expired issuer": (maker.pem(maker.key, maker.of_old, maker.old_middle), {"expired": "critical"}, 2),
        "not yet valid": (maker.pem(maker.key, maker.future, maker.middle), {"not-yet-valid": "critical"}, 2),
        "expires soon": (maker.pem(maker.key, maker.soon, maker.middle), {"expires-soon": "warning"}, 1),
        "no intermediate": (maker.pem(maker.key, maker.leaf), {"chain-incomplete": "critical"}, 2),
        "reversed chain": (maker.pem(maker.key, maker.middle, maker.leaf), {"chain-order": "critical", "no-names": "critical", "authority-served": "critical"}, 2),
        "root first": (maker.pem(maker.key, maker.root, maker.leaf, maker.middle), {"chain-order": "critical", "no-names": "critical", "authority-served": "critical"}, 2),
        "authority for a server": (maker.pem(maker.self_authority_key, maker.self_authority), {"no-names": "critical", "authority-served": "critical", "self-signed": "note"}, 2),
        "two reversed issuers": (maker.pem(maker.key, maker.deep, maker.middle, maker.lower), {"chain-order": "critical"}, 2),
        "stranger in the chain": (maker.pem(maker.key, maker.leaf, maker.middle, maker.stranger), {"stray-certificates": "warning", "root-included": "note"}, 1),
        "root included": (maker.pem(maker.key, maker.leaf, maker.middle, maker.root), {"root-included": "note"}, 0),
        "key of another": (maker.pem(maker.stranger_key, maker.leaf, maker.middle), {"key-mismatch": "critical"}, 2),
        "no key": (maker.pem(maker.leaf, maker.middle), {"no-key": "critical"}, 2),
        "no certificate": (leaf_key, {"no-certificate": "critical"}, 2),
        "two keys": (good + maker.pem(maker.stranger_key), {"several-keys": "warning"}, 1),
        "encrypted key": (maker.encrypted_key() + maker.pem(maker.leaf, maker.middle), {"key-encrypted": "critical"}, 2),
        "old encrypted key": (maker.old_encrypted_key() + maker.pem(maker.leaf, maker.middle), {"key-encrypted": "critical"}, 2),
        "SHA-1": (maker.pem(maker.key, maker.sha1, maker.middle), {"weak-signature": "critical"}, 2),
        "SHA-1, self-signed": (maker.pem(maker.self_sha1_key, maker.self_sha1), {"weak-signature": "critical", "self-signed": "note"}, 2),
        "1024 bits": (maker.pem(maker.short_key, maker.short, maker.middle), {"weak-key": "critical"}, 2),
        "for clients alone": (maker.pem(maker.key, maker.client, maker.middle), {"wrong-purpose": "critical"}, 2),
        "empty": ("", {"no-certificate": "critical", "no-key": "critical"}, 2),
        "a web page": ("<html>404</html>\n", {"no-certificate": "critical", "no-key": "critical"}, 2),
        "mark of an editor": ("\ufeff" + good, {"byte-order-mark": "warning"}, 1),
        "Windows line ends": (good.replace("\n", "\r\n"), {"line-ends": "note"}, 0),
        "cut off": (good[:-200], {"damaged": "critical", "chain-incomplete": "critical"}, 2),
        "edited": (good.replace("MII", "MI!", 2), {"damaged": "critical"}, 2),
        "unknown authority": (maker.pem(maker.stranger_leaf_key, maker.stranger_leaf), {"chain-incomplete": "critical"}, 2),
        "long-lived": (maker.pem(maker.key, maker.long, maker.middle), {"long-lived": "note"}, 0),
    }
