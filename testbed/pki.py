"""Certificates and kubeconfigs of one testbed, made with openssl; they live and die with the run folder."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from testbed.commands import output

API_SERVICE = "10.96.0.1"
JOBSET_USER = "system:serviceaccount:jobset-system:jobset-controller-manager"
KUEUE_USER = "system:serviceaccount:kueue-system:kueue-controller-manager"

# Common name and organisation are the user and the group that the API server sees.
_CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": "/O=system:nodes/CN=system:node:node1",
    "apiserver-kubelet-client": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    # As their ServiceAccounts, so that the roles they ship are what they really have.
    "jobset": f"/CN={JOBSET_USER}",
    "kueue": f"/CN={KUEUE_USER}",
}


@dataclass(frozen=True)
class Pki:
    """The folder with the certificates."""

    folder: Path

    def file(self, name: str) -> str:
        """The path of one file, as command lines take it."""
        return str(self.folder / name)

    def text(self, name: str) -> str:
        """The content of one file, in base64 as Kubernetes embeds it."""
        return base64.b64encode((self.folder / name).read_bytes()).decode()

    def create(self, address: str) -> None:
        """Make the authority, every certificate and the key that signs ServiceAccount tokens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._authority()
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        addresses = ["127.0.0.1", API_SERVICE, address]
        self._sign("apiserver", "/CN=kube-apiserver", _server([*names, "localhost"], addresses))
        self._sign("webhook", "/CN=webhook", _server(["localhost"], ["127.0.0.1"]))
        for name, subject in _CLIENTS.items():
            self._sign(name, subject, "extendedKeyUsage=clientAuth")
        self._key("service-account")
        output(["openssl", "ec", "-in", self.file("service-account.key"), "-pubout",
                "-out", self.file("service-account.pub")])  # fmt: skip

    def kubeconfig(self, client: str, server: str, context: str) -> str:
        """A kubeconfig with everything inside, so that it can be copied anywhere on this machine."""
        cluster = {"server": server, "certificate-authority-data": self.text("ca.crt")}
        user = {"client-certificate-data": self.text(f"{client}.crt"), "client-key-data": self.text(f"{client}.key")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": cluster}],
            "users": [{"name": client, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": client}}],
            "current-context": context,
        }
        return json.dumps(config, indent=1)

    def _authority(self) -> None:
        self._key("ca")
        usage = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
        output(["openssl", "req", "-x509", "-new", "-key", self.file("ca.key"), "-days", "3650",
                "-subj", "/CN=testbed-ca", "-out", self.file("ca.crt"), *usage])  # fmt: skip

    def _sign(self, name: str, subject: str, extensions: str) -> None:
        self._key(name)
        request, lines = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        lines.write_text(extensions + "\n")
        output(["openssl", "req", "-new", "-key", self.file(f"{name}.key"), "-subj", subject, "-out", str(request)])
        output(["openssl", "x509", "-req", "-in", str(request), "-CA", self.file("ca.crt"),
                "-CAkey", self.file("ca.key"), "-CAcreateserial", "-days", "3650", "-extfile", str(lines),
                "-out", self.file(f"{name}.crt")])  # fmt: skip
        request.unlink()
        lines.unlink()

    def _key(self, name: str) -> None:
        output(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.file(f"{name}.key")])


def _server(names: list[str], addresses: list[str]) -> str:
    alternatives = [*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)]
    return f"subjectAltName={','.join(alternatives)}\nextendedKeyUsage=serverAuth"
