import Testing

extension Tag {
    @Tag static var integration: Self
}

/// Tests of a fleet that is Swift in one part and Python in the other.
@Suite(
    "Interoperability with Python Celery",
    .tags(.integration),
    .enabled(if: Python.interpreter != nil, "set CELERIAC_PYTHON to the output of Scripts/python-environment.sh"),
    .timeLimit(.minutes(3))
)
struct InteropTests {
    @Suite("Python calls Swift") struct PythonCallsSwift {}
    @Suite("Swift calls Python") struct SwiftCallsPython {}
    @Suite("On the wire") struct Wire {}
}
