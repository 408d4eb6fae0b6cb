// One import gives users the whole of the library.
@_exported public import CeleriacBeat
@_exported public import CeleriacCore
@_exported public import CeleriacWorker

/// The library's version, as `--version` shows it.
package let celeriacVersion = "0.1.0"
