import CeleriacCore
import Testing

@testable import CeleriacAMQP

@Suite("Expected replies")
struct ExpectedRepliesTests {
    @Test("A call is awaited until its end comes; what comes of others is not wanted")
    func life() {
        var replies = ExpectedReplies(limit: 10)
        #expect(replies.standing(of: "a") == .unknown)
        #expect(replies.arrived("a", isFinal: true).isWanted == false)
        #expect(replies.expect("a") == nil)
        #expect(replies.arrived("a", isFinal: false).isWanted)
        #expect(replies.standing(of: "a") == .awaited)
        #expect(replies.arrived("a", isFinal: true).isWanted)
        #expect(replies.standing(of: "a") == .ended)
        // A second end, of another run: the record decides.
        #expect(replies.arrived("a", isFinal: true).isWanted)
        // Sent again under its id.
        #expect(replies.expect("a") == nil)
        #expect(replies.standing(of: "a") == .ended)
        replies.forget("a")
        #expect(replies.standing(of: "a") == .unknown)
    }

    @Test("Beyond the bound the oldest goes, also after many have come and gone")
    func bound() {
        var replies = ExpectedReplies(limit: 2)
        for number in 0..<10_000 {
            #expect(replies.expect(TaskID("gone \(number)")) == nil)
            replies.forget(TaskID("gone \(number)"))
        }
        #expect(replies.expect("a") == nil)
        #expect(replies.expect("b") == nil)
        #expect(replies.expect("c") == "a")
        #expect(replies.arrived("c", isFinal: true).evicted == nil)
        #expect(replies.arrived("b", isFinal: true).evicted == nil)
        _ = replies.expect("d")
        #expect(replies.arrived("d", isFinal: true).evicted == "c")
        #expect(replies.evict() == "b")
        #expect(replies.evict() == "d")
        #expect(replies.evict() == nil)
    }

    @Test("A URL may say how long a caller may be away, and whether results are written to disk")
    func options() throws {
        #expect(try RPCResultOptions("rpc://").isPersistent == false)
        #expect(try RPCResultOptions("rpc://").queueExpires == .seconds(3600))
        let options = try RPCResultOptions("rpc://?persistent=true&expires=600")
        #expect(options.isPersistent)
        #expect(options.queueExpires == .seconds(600))
        for url in ["rpc://host", "rpc://?expires=0", "rpc://?persistent=yes", "rpc://?x=1", "rpc"] as [ServerURL] {
            #expect { try RPCResultOptions(url) } throws: { ($0 as? CeleriacError)?.code == .configuration }
        }
    }
}
