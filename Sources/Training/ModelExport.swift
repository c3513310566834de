/// An exported model as it stands in a folder.
package enum ModelExport {
    /// The name that Hugging Face's libraries look for.
    package static let fileName = "model.safetensors"
}
