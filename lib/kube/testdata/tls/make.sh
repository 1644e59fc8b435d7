#!/bin/sh
# Makes the certificates beside it anew: a test authority, servers, clients, and an authority that signed none of them.
# For this room's tests and for the fake cluster. Keys of tests, secret to nobody; committed, so that a test needs neither
# openssl nor the time that it takes, and good for a hundred years, so that no test fails on a date.
set -eu
cd "$(dirname "$0")"
DAYS=36500
KEY="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

# authority NAME: its certificate and key
authority() {
  openssl req -x509 $KEY -keyout "$1.key" -out "$1.pem" -days $DAYS -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# signed NAME AUTHORITY SUBJECT EXTENSIONS
signed() {
  openssl req $KEY -keyout "$1.key" -out "$1.csr" -subj "$3"
  printf '%b' "$4" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days $DAYS -out "$1.pem" -extfile "$1.ext"
  rm "$1.csr" "$1.ext"
}

authority authority
authority other_authority
SERVER='basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName='
CLIENT='basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n'
signed server authority '/CN=server' "${SERVER}DNS:localhost,IP:127.0.0.1,IP:::1\n"
signed named authority '/CN=api.example.test' "${SERVER}DNS:api.example.test\n"
signed alice authority '/O=developers/CN=alice' "$CLIENT"
signed bob authority '/O=developers/CN=bob' "$CLIENT"
signed developer authority '/O=developers/CN=developer' "$CLIENT"
signed stranger other_authority '/CN=stranger' "$CLIENT"
# A server whose certificate is its own authority, as single-node clusters make them.
openssl req -x509 $KEY -keyout self.key -out self.pem -days $DAYS -subj "/CN=self" \
  -addext basicConstraints=critical,CA:TRUE -addext subjectAltName=DNS:localhost,IP:127.0.0.1
# An authority that another one has signed, and what it signed: kubeconfigs may name the one in the middle alone.
signed middle authority '/CN=middle' 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n'
signed below middle '/CN=below' "${SERVER}DNS:localhost,IP:127.0.0.1\n"
cat middle.pem >> below.pem
# A server whose certificate expires in the second that it is made.
DAYS=0
signed expired authority '/CN=expired' "${SERVER}DNS:localhost,IP:127.0.0.1,IP:::1\n"
DAYS=36500
# Other kinds of a private key, and other forms.
KEY="-newkey rsa:2048 -nodes"
signed rsa authority '/O=developers/CN=rsa' "$CLIENT"
openssl rsa -traditional -in rsa.key -out rsa.pkcs1.key
KEY="-newkey ed25519 -nodes"
signed ed25519 authority '/O=developers/CN=ed25519' "$CLIENT"
openssl ec -in alice.key -out alice.sec1.key
openssl ecparam -name prime256v1 -out params.tmp && cat params.tmp alice.sec1.key > alice.params.key && rm params.tmp
openssl pkcs8 -topk8 -in alice.key -passout pass:secret -out alice.encrypted.key
rm -f ./*.srl other_authority.key middle.key
