import Dispatch
import Foundation
import FuzzTargets
import Testing

/// Replays what fuzzing has found, and what it started from, through the same functions.
@Suite("Fuzzing corpus", .timeLimit(.minutes(2))) struct CorpusTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Fuzz/Corpus").standardizedFileURL

    @Test("No input breaks a promise", arguments: FuzzTarget.allCases)
    func replay(_ target: FuzzTarget) async throws {
        let directory = Self.corpus.appending(path: target.rawValue)
        let files = try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files {
            let bytes = try Array(Data(contentsOf: file))
            // A target blocks its thread, so not on one that tests need.
            let finding: Finding? = await withCheckedContinuation { continuation in
                DispatchQueue.global().async {
                    do throws(Finding) {
                        try target.run(bytes)
                        continuation.resume(returning: nil)
                    } catch {
                        continuation.resume(returning: error)
                    }
                }
            }
            #expect(finding == nil, "\(file.lastPathComponent)")
        }
    }
}
