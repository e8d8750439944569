#!/usr/bin/env python3
"""A CA that answers as a Puppet CA does, as far as `prometheus-streams enroll` asks: fake-ca.py FOLDER PORT

It signs what was requested once there is a file `sign` in its folder.
"""

import os
import re
import ssl
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/puppet-ca/v1/"
NAME = re.compile(r"[a-z0-9._-]+")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def read(name):
    with open(name, "rb") as file:
        return file.read()


def write(name, text):
    with open(name, "wb") as file:
        file.write(text)


def make_ca():
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
            "-subj", "/CN=Puppet CA: acceptance",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl("req", *ec, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    write("server.ext", b"subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
    sign("server.csr", "server.pem", "server.ext")
    write("index.txt", b"")
    write("crlnumber", b"01\n")
    write("ca.conf", b"[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\n"
                     b"default_md=sha256\ndefault_crl_days=30\n")
    openssl("ca", "-gencrl", "-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.pem",
            "-out", "crl.pem")


def sign(request, certificate, extensions):
    openssl("x509", "-req", "-in", request, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "20", "-extfile", extensions, "-out", certificate)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def subject(self):
        path = self.path.partition("?")[0]
        kind, _, name = path.removeprefix(PREFIX).partition("/")
        return (kind, name) if path.startswith(PREFIX) and NAME.fullmatch(name) else (None, None)

    def do_GET(self):
        match self.subject():
            case ("certificate", "ca"):
                self.answer(200, read("ca.pem"))
            case ("certificate_revocation_list", "ca"):
                self.answer(200, read("crl.pem"))
            case ("certificate", name):
                if os.path.exists("sign") and os.path.exists(f"{name}.csr"):
                    sign(f"{name}.csr", f"{name}.pem", "server.ext")
                    self.answer(200, read(f"{name}.pem"))
                else:
                    self.answer(404, f"Could not find certificate {name}".encode())
            case _:
                self.answer(404, b"Not Found")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        match self.subject():
            case ("certificate_request", name):
                write(f"{name}.csr", body)
                self.answer(200)
            case _:
                self.answer(404, b"Not Found")


def main():
    folder, port = sys.argv[1], int(sys.argv[2])
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    make_ca()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("server.pem", "server.key")
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
