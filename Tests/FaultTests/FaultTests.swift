import FleetSupport
import ProcessSupport
import Testing

extension Tag {
    @Tag static var integration: Self
}

/// Tests with real servers and real processes, both of which they stop and kill.
@Suite(
    "Faults",
    .tags(.integration),
    .enabled(if: ServerScript.isAvailable, "set CELERIAC_SERVERS, as Scripts/with-servers.sh does"),
    .timeLimit(.minutes(10))
)
struct FaultTests {
    /// Tests that keep both processors busy, one after the other.
    @Suite("Load", .serialized) struct Load {}

    /// Tests that mostly wait.
    @Suite("Processes") struct Processes {}
}
