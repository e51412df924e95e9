"""SAML metadata as pysaml2 makes and signs it, for tests/it/real_servers.rs. Arguments: the base URL of entityID and endpoints, key file, certificate file.

Serves /metadata on a free port of loopback and prints the port once it listens.
"""
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor, sign_entity_descriptor
from saml2.sigver import security_context

base, key, certificate = sys.argv[1:4]
config = IdPConfig().load({
    "entityid": f"{base}/idp",
    "xmlsec_binary": "/usr/bin/xmlsec1",
    "key_file": key,
    "cert_file": certificate,
    "valid_for": 24 * 40,
    "service": {"idp": {
        "name": "An IdP for tests",
        "endpoints": {"single_sign_on_service": [(f"{base}/sso/redirect", BINDING_HTTP_REDIRECT), (f"{base}/sso/post", BINDING_HTTP_POST)]},
        "name_id_format": ["urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"],
        "sign_assertion": True,
    }},
})
descriptor = entity_descriptor(config)
_, signed = sign_entity_descriptor(
    descriptor, None, security_context(config),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmlenc#sha256",
)
body = str(signed).encode()


class Idp(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/metadata"
        self.send_response(200 if found or self.path.startswith("/sso/") else 404)
        self.send_header("Content-Type", "application/samlmetadata+xml")
        self.send_header("Content-Length", str(len(body) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Idp)
print(server.server_port, flush=True)
server.serve_forever()
