"""Makes checkpoint.json, signed by OpenSSL as C2SP signed-note and tlog-cosignature say:
python3 checkpoint.py > checkpoint.json"""
import base64
import hashlib
import json
import subprocess
import tempfile


def openssl(*args, stdin=b""):
    return subprocess.run(["openssl", *args], input=stdin, stdout=subprocess.PIPE, check=True).stdout


class Key:
    def __init__(self, name, alg, seed):
        der = bytes.fromhex("302e020100300506032b657004220420") + seed  # RFC 8410, section 7
        self.pem = openssl("pkey", "-inform", "DER", stdin=der)
        public = openssl("pkey", "-pubout", "-outform", "DER", stdin=self.pem)[-32:]
        self.name, self.seed = name, seed
        self.id = hashlib.sha256(name.encode() + b"\n" + bytes([alg]) + public).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{base64.b64encode(bytes([alg]) + public).decode()}"

    def sign(self, message):
        with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as text:
            key.write(self.pem)
            key.flush()
            text.write(message)
            text.flush()
            return openssl("pkeyutl", "-sign", "-rawin", "-inkey", key.name, "-in", text.name)

    def line(self, signature):
        return f"— {self.name} {base64.b64encode(self.id + signature).decode()}\n".encode()


origin = "consentd.example/0198c0de-0000-7000-8000-000000000001"
root = hashlib.sha256(b"root").digest()
seconds = 1790000000
text = f"{origin}\n12345\n{base64.b64encode(root).decode()}\n".encode()
log = Key(origin, 1, bytes(range(32)))
witness = Key("witness.example/w1", 4, bytes(range(32, 64)))
cosignature = seconds.to_bytes(8, "big") + witness.sign(b"cosignature/v1\ntime %d\n" % seconds + text)
signed = text + b"\n" + log.line(log.sign(text))
print(json.dumps({"origin": origin, "size": 12345, "root": root.hex(), "seed": log.seed.hex(), "vkey": log.vkey,
                  "witness": witness.vkey, "time": seconds, "signed": signed.decode(),
                  "cosigned": (signed + witness.line(cosignature)).decode()}, indent=1, ensure_ascii=False))
