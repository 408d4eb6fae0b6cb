// Endpoints, TLS and socket options are part of this module's own API, which needs no second import.
@_exported public import Transport
