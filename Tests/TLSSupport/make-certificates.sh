#!/usr/bin/env bash
# Makes the certificates that tests of TLS need, in a directory of their own:
#
#   make-certificates.sh DIRECTORY
#
# ca.pem              an authority, with ca.key; trusted/ca.pem is the same as a directory
# other-ca.pem        another one
# server.pem          for localhost, 127.0.0.1 and ::1, with server.key; likewise expired.pem, future.pem, and
#                     elsewhere.pem for another name, all with the same key
# self-signed.pem     vouches for itself, with server.key
# client.pem          the user "guest", with client.key, and client-encrypted.key whose passphrase is "canary"
# client-both.pem     certificate and key in one file
# nobody.pem          a client whose name no broker knows, with client.key
# stranger.pem        a client of the other authority, with client.key
set -euo pipefail

cd "$1"
export OPENSSL_CONF=/dev/null
exec 2>make.log
trap 'cat make.log >&3' ERR
exec 3>/dev/stdout

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
authority() { # NAME
    key "$1.key"
    openssl req -x509 -config ca.conf -extensions authority -key "$1.key" -subj "/CN=$1" -days 30 -out "$1.pem"
}
issue() { # NAME KEY SUBJECT EXTENSIONS AUTHORITY START END
    openssl req -new -config ca.conf -key "$2" -subj "$3" -out "$1.csr"
    openssl ca -batch -notext -config ca.conf -name default -extensions "$4" -cert "$5.pem" -keyfile "$5.key" \
        -startdate "$6" -enddate "$7" -in "$1.csr" -out "$1.pem"
}

cat >ca.conf <<'END'
[default]
database = index
serial = serial
new_certs_dir = issued
default_md = sha256
policy = anything
unique_subject = no
[anything]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:false
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[elsewhere]
basicConstraints = CA:false
extendedKeyUsage = serverAuth
subjectAltName = DNS:elsewhere.example
[client]
basicConstraints = CA:false
extendedKeyUsage = clientAuth
END
: >index
echo 1000 >serial
mkdir issued trusted

now=$(date -u -d yesterday +%Y%m%d%H%M%SZ)
later=$(date -u -d '+30 days' +%Y%m%d%H%M%SZ)
authority ca
authority other-ca
cp ca.pem trusted/
key server.key
key client.key
issue server server.key /CN=localhost server ca "$now" "$later"
issue elsewhere server.key /CN=elsewhere.example elsewhere ca "$now" "$later"
issue expired server.key /CN=localhost server ca 20200101000000Z 20200102000000Z
issue future server.key /CN=localhost server ca 20480101000000Z 20490101000000Z
openssl req -x509 -config ca.conf -extensions server -key server.key -subj /CN=localhost -days 30 -out self-signed.pem
issue client client.key /CN=guest client ca "$now" "$later"
issue nobody client.key /CN=nobody client ca "$now" "$later"
issue stranger client.key /CN=guest client other-ca "$now" "$later"
openssl pkcs8 -topk8 -in client.key -passout pass:canary -out client-encrypted.key
cat client.pem client.key >client-both.pem
