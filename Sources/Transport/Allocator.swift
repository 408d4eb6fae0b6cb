internal import Glibc

/// The C library's allocator, from which Swift's arrays come.
enum Allocator {
    /// What the allocator may keep, in octets, is twice this.
    private static let largestBlock = 8 << 20

    private static let keepsFreedMemory: Void = {
        // Kept from being optimised away by the write.
        guard let block = malloc(largestBlock) else { return }
        block.storeBytes(of: 1, as: UInt8.self)
        free(block)
    }()

    /// Has freed memory of some megabytes stay with the process for the next message.
    ///
    /// Where large messages come and go, the allocator would otherwise give their memory back to the kernel, which clears
    /// each page before it lends it again; that costs as much as receiving them. glibc keeps twice as much as the
    /// largest mapped block that was ever freed (mallopt(3), dynamic threshold), so one is.
    static func keepFreedMemory() {
        keepsFreedMemory
    }
}
