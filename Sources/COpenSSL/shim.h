#ifndef CELERIAC_COPENSSL_SHIM_H
#define CELERIAC_COPENSSL_SHIM_H

// OpenSSL 3, and its macros as functions, for Swift imports none of them. Static inline wrappers only; no state, no
// policy. They are here and not in CShims, so that only what speaks TLS or makes digests sees OpenSSL.

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/// Never prompts, never renegotiates, gives idle buffers back.
static inline void celeriac_tls_harden(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

static inline int celeriac_tls_set_minimum(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}

static inline int celeriac_tls_set_maximum(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_max_proto_version(context, version);
}

static inline int celeriac_tls_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}

static inline int celeriac_tls_set_server_name(SSL *ssl, const char *name) {
    return (int)SSL_set_tlsext_host_name(ssl, name);
}

/// An empty memory BIO means "try again later", not the end of the stream.
static inline void celeriac_bio_never_ends(BIO *bio) { BIO_set_mem_eof_return(bio, -1); }

/// Whether an error of the queue says that a PEM text has no further object.
static inline int celeriac_is_end_of_pem(unsigned long error) {
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/// The reason of an error of the TLS library itself; -1 for one of another library.
static inline int celeriac_tls_reason(unsigned long error) {
    return ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : -1;
}

static const int celeriac_tls_1_2 = TLS1_2_VERSION;
static const int celeriac_tls_1_3 = TLS1_3_VERSION;
static const int celeriac_tls_alert_offset = SSL_AD_REASON_OFFSET;
static const unsigned int celeriac_tls_no_partial_wildcards = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

#endif
