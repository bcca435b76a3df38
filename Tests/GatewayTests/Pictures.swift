import Foundation
import ImageIO

/// Files to send.
enum Pictures {
    /// A PNG unlike that of any other number.
    static func png(_ number: Int) throws -> Data {
        try RGBImage(width: 24, height: 16, colour: [UInt8(number & 255), 80, 160]).pngData()
    }

    /// A JPEG that ends in the middle.
    static func cutOffJPEG() throws -> Data {
        var noise = RGBImage(width: 64, height: 64, colour: [0, 0, 0])
        for i in noise.pixels.indices { noise.pixels[i] = UInt8((i &* 7919) >> 3 & 255) }
        let whole = try noise.jpegData()
        return whole.prefix(whole.count / 2)
    }

    /// A small file that announces 20,000 × 20,000 pixels.
    static var bomb: Data {
        let header: [UInt8] = [0, 0, 0x4E, 0x20, 0, 0, 0x4E, 0x20, 8, 2, 0, 0, 0]
        // zlib stream of an empty deflate block: enough, since the header alone has to be refused.
        let nothing: [UInt8] = [0x78, 0x9C, 0x03, 0, 0, 0, 0, 1]
        return Data([0x89, 0x50, 0x4E, 0x47, 13, 10, 26, 10]) + chunk("IHDR", header) + chunk("IDAT", nothing)
            + chunk("IEND", [])
    }

    private static func chunk(_ type: String, _ content: [UInt8]) -> Data {
        let body = Array(type.utf8) + content
        return Data(bigEndian(UInt32(content.count)) + body + bigEndian(checksum(body)))
    }

    private static func bigEndian(_ number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }

    /// CRC-32 as PNG (ISO 3309) has it.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 {
                let shifted = crc >> 1
                crc = crc & 1 == 1 ? shifted ^ 0xEDB8_8320 : shifted
            }
        }
        return ~crc
    }
}
