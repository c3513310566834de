/// Why the header of a safetensors file is refused.
package struct SafetensorsError: Error, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
