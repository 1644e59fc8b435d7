#!/bin/sh
# Makes the fixtures beside it anew: the fake cluster's authority with a server and two users, and an authority that
# signed none of them. Keys of tests, secret to nobody; committed, so that a test needs neither openssl nor the time
# that it takes, and good for a hundred years, so that no test fails on a date.
set -eu
cd "$(dirname "$0")"
DAYS=36500
EC="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

authority() {
  openssl req -x509 $EC -keyout "$1.key" -out "$1.pem" -days $DAYS -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# signed NAME AUTHORITY SUBJECT EXTENSIONS
signed() {
  openssl req $EC -keyout "$1.key" -out "$1.csr" -subj "$3"
  printf '%b' "basicConstraints=CA:FALSE\n$4\n" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days $DAYS -out "$1.pem" -extfile "$1.ext"
  rm "$1.csr" "$1.ext"
}

authority authority
authority other_authority
signed server authority '/CN=server' 'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1'
signed developer authority '/O=developers/CN=developer' 'extendedKeyUsage=clientAuth'
signed stranger other_authority '/CN=stranger' 'extendedKeyUsage=clientAuth'
rm -f ./*.srl authority.key other_authority.key
