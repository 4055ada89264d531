"""Makes leaf.json, leaves by the layout in the design: python3 leaf.py > leaf.json"""
import hashlib
import hmac
import json


def mac(key, label, n):
    return hmac.new(key, label + n.to_bytes(8, "big"), hashlib.sha256).digest()


def vector(recorded_at, secret, n, body, ident):
    body_salt = mac(secret, b"consentd/salt-b/v1", n)
    ident_salt = mac(secret, b"consentd/salt-i/v1", n)
    leaf = (b"\x01" + recorded_at.to_bytes(8, "big") + mac(secret, b"consentd/tag/v1", n)
            + hashlib.sha256(b"consentd/body/v1" + body_salt + body).digest()
            + hashlib.sha256(b"consentd/ident/v1" + ident_salt + ident).digest())
    assert len(leaf) == 105
    return {"recorded_at": recorded_at, "secret": secret.hex(), "n": n, "body": body.hex(), "ident": ident.hex(),
            "body_salt": body_salt.hex(), "ident_salt": ident_salt.hex(), "leaf": leaf.hex(),
            "hash": hashlib.sha256(b"\x00" + leaf).hexdigest()}


print(json.dumps([
    vector(0, bytes(32), 0, b"", b""),
    vector(1790000000123, bytes(range(32)), 1, b'{"purpose":"marketing","state":"accepted"}',
           b'{"identifiers":{"email":"ada@example.com"}}'),
    vector(2**63 - 1, b"\xff" * 32, 2**64 - 1, b"b" * 5000, b"i" * 1001),
], indent=1))
