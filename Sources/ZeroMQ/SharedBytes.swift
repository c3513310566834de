/// Bytes that libzmq sends from where they lie.
package struct SharedBytes {
    /// They must stay unchanged for as long as `owner` lives.
    package let bytes: UnsafeRawBufferPointer
    /// Keeps the bytes alive. libzmq's I/O thread may be the one that lets go of it last.
    package let owner: AnyObject

    package init(bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        self.bytes = bytes
        self.owner = owner
    }
}
