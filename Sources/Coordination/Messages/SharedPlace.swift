/// Memory of a process that others of its machine may read, where floats lie that no message carries.
package struct SharedPlace: Hashable, Sendable {
    /// The process that made it, and holds it open.
    package var process: UInt32
    /// Its descriptor in that process.
    package var descriptor: UInt32
    /// Drawn at random, and part of the memory's name: no other memory is taken for it.
    package var tag: UInt64

    package init(process: UInt32, descriptor: UInt32, tag: UInt64) {
        self.process = process
        self.descriptor = descriptor
        self.tag = tag
    }
}

extension ByteWriter {
    mutating func put(place: SharedPlace?) {
        put(flag: place != nil)
        guard let place else { return }
        put(place.process)
        put(place.descriptor)
        put(place.tag)
    }
}

extension ByteReader {
    mutating func takePlace(_ field: String) throws(WireError) -> SharedPlace? {
        guard try takeFlag(field) else { return nil }
        let place = SharedPlace(process: try take(), descriptor: try take(), tag: try take())
        guard place.process <= Int32.max, place.descriptor <= Int32.max else { throw .outOfBounds(field) }
        return place
    }
}
