# Known answers for vectors_test.go, by another implementation: python3 testdata/vectors.py (needs "cryptography").
import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(key, info):
    return HKDF(SHA256(), 32, None, info).derive(key)


def counted(start, size):
    return bytes(range(start, start + size))


kek, seed, key = counted(0, 32), counted(32, 32), counted(64, 32)
organization, subject, nonce = counted(96, 16), counted(112, 16), counted(128, 12)

public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
kek_id = derive(kek, b"consentd/kek-id/v1")[:4]
sign_id = hashlib.sha256(b"consentd/sign-id/v1" + public).digest()[:4]
print("consentd-keys 1")
print("ring", counted(144, 16).hex())
print("sign", sign_id.hex(), "2026-01-31T12:00:00Z", base64.b64encode(seed).decode())
print("kek ", kek_id.hex(), "2026-01-31T12:00:00Z", base64.b64encode(kek).decode())
print("public", public.hex())

header = b"\x01" + kek_id
wrapping = AESGCM(derive(kek, b"consentd/wrap/v1" + organization))
print("wrapped", (header + nonce + wrapping.encrypt(nonce, key, header + organization + subject)).hex())

for label in "identifier", "ident", "data", "profile", "archive", "text":
    sealing = AESGCM(derive(key, b"consentd/seal/" + label.encode() + b"/v1"))
    print("sealed", label, (b"\x01" + nonce + sealing.encrypt(nonce, b"text", b"place")).hex())

for use in "identifier", "suppressed":
    parts = b"\x00\x00\x00\x05email" + (3).to_bytes(8, "big") + "zoë@example.org".encode()
    index = hmac.new(derive(key, b"consentd/index/" + use.encode() + b"/v1"), parts, hashlib.sha256).digest()[:16]
    print("index", use, index.hex())
