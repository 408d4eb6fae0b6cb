internal import COpenSSL

/// What OpenSSL left in the calling thread's queue of errors.
struct OpenSSLErrors {
    private(set) var codes: [UInt] = []

    /// Takes all errors out of the queue.
    ///
    /// Every call into OpenSSL whose failure is looked at is made with an empty queue, or older errors would speak.
    static func drain() -> OpenSSLErrors {
        var errors = OpenSSLErrors()
        while case let code = ERR_get_error(), code != 0 { errors.codes.append(code) }
        return errors
    }

    /// The reasons in OpenSSL's words, the first cause first.
    var text: String {
        let reasons = codes.map { code in
            ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
        }
        return reasons.isEmpty ? "no reason given" : reasons.joined(separator: ", ")
    }

    var isEndOfPEM: Bool { codes.count == 1 && celeriac_is_end_of_pem(codes[0]) != 0 }

    /// The reason that the TLS library itself gave last, which for an alert is 1000 plus its number.
    var tlsReason: Int32? {
        codes.last { celeriac_tls_reason($0) >= 0 }.map { celeriac_tls_reason($0) }
    }
}
