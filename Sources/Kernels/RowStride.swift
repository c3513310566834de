/// How far apart rows lie that a product reads side by side.
package enum RowStride {
    /// Floats from the beginning of a row to that of the next.
    ///
    /// Rows some multiple of 2 KiB apart share so few sets of L1 that those of one tile evict each other: these get a
    /// cache line more.
    package static func of(columns: Int) -> Int { columns % 512 == 0 ? columns + 16 : columns }
}
