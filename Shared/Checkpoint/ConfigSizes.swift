/// Refuses sizes in a config.json that no model has, before anything is multiplied or divided by them.
///
/// - Parameters:
///   - file: the file, for the message
///   - sizes: keys and what they say
///   - limit: the largest of them that is believed
public func requireSizes(
    in file: String, _ sizes: KeyValuePairs<String, [Int]>, atLeast least: Int = 1, upTo limit: Int = 1 << 20
) throws {
    for (key, values) in sizes {
        guard !values.isEmpty, values.count <= 64, values.allSatisfy({ (least...limit).contains($0) }) else {
            let said = values.prefix(8).map(String.init).joined(separator: ", ")
            throw CheckpointError(
                "\(file): \(key) is [\(said)], which no model has (\(least) to \(limit)); copy the file from the model's page"
            )
        }
    }
}
