public import Testing

extension Tag {
    /// Needs a real server or another process.
    @Tag public static var integration: Self
}
