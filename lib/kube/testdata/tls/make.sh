#!/bin/sh
# Makes the certificates beside it anew: a test authority, servers, clients. Keys of tests, secret to nobody.
set -eu
cd "$(dirname "$0")"
DAYS=36500
EC="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

# authority NAME: its certificate and key
authority() {
  openssl req -x509 $EC -keyout "$1.key" -out "$1.pem" -days $DAYS -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# signed NAME SUBJECT EXTENSIONS: a certificate of the authority
signed() {
  openssl req $EC -keyout "$1.key" -out "$1.csr" -subj "$2"
  printf '%b' "$3" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA authority.pem -CAkey authority.key -CAcreateserial -days $DAYS -out "$1.pem" -extfile "$1.ext"
  rm "$1.csr" "$1.ext"
}

authority authority
SERVER='basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName='
CLIENT='basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n'
signed server '/CN=server' "${SERVER}DNS:localhost,IP:127.0.0.1,IP:::1\n"
signed named '/CN=api.example.test' "${SERVER}DNS:api.example.test\n"
signed alice '/O=developers/CN=alice' "$CLIENT"
signed bob '/O=developers/CN=bob' "$CLIENT"
# A server whose certificate is its own authority, as single-node clusters make them.
openssl req -x509 $EC -keyout self.key -out self.pem -days $DAYS -subj "/CN=self" \
  -addext basicConstraints=critical,CA:TRUE -addext subjectAltName=DNS:localhost,IP:127.0.0.1
# Other forms of a private key.
openssl ec -in alice.key -out alice.sec1.key
openssl ecparam -name prime256v1 -out params.tmp && cat params.tmp alice.sec1.key > alice.params.key && rm params.tmp
openssl pkcs8 -topk8 -in alice.key -passout pass:secret -out alice.encrypted.key
rm -f authority.srl
