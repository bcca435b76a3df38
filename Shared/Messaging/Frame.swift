import CRabbitMQ
import Foundation

/// A frame from the broker, copied out of librabbitmq's memory. Content comes as a method (deliver or return), then a
/// header with the body's size, then the body in pieces; pieces of one channel keep their order.
struct Frame {
    enum Payload {
        case method(Method)
        case header(messageID: String?, headers: [String: FieldValue], bodySize: UInt64)
        case body(Data)
    }

    /// The methods that a broker sends unasked.
    enum Method {
        case deliver(tag: UInt64, redelivered: Bool, exchange: String, routingKey: String)
        case returned(code: Int, text: String)
        case ack(tag: UInt64, multiple: Bool)
        case nack(tag: UInt64, multiple: Bool)
        case cancel(consumerTag: String)
        case channelClose(code: Int, text: String)
        case connectionClose(code: Int, text: String)
        case blocked(reason: String)
        case unblocked
        case other(UInt32)
    }

    let channel: UInt16
    let payload: Payload
}

extension Frame {
    init(_ frame: amqp_frame_t) {
        channel = frame.channel
        switch Int32(frame.frame_type) {
        case AMQP_FRAME_METHOD: payload = .method(Method(frame.payload.method))
        case AMQP_FRAME_HEADER:
            payload = Self.header(frame.payload.properties.decoded, frame.payload.properties.body_size)
        case AMQP_FRAME_BODY: payload = .body(Data(frame.payload.body_fragment))
        default: payload = .method(.other(UInt32(frame.frame_type)))
        }
    }

    private static func header(_ decoded: UnsafeMutableRawPointer?, _ bodySize: UInt64) -> Payload {
        guard let decoded else { return .header(messageID: nil, headers: [:], bodySize: bodySize) }
        let properties = decoded.load(as: amqp_basic_properties_t.self)
        func has(_ flag: Int32) -> Bool { properties._flags & UInt32(flag) != 0 }
        return .header(
            messageID: has(AMQP_BASIC_MESSAGE_ID_FLAG) ? String(properties.message_id) : nil,
            headers: has(AMQP_BASIC_HEADERS_FLAG) ? FieldValue.fields(properties.headers) : [:], bodySize: bodySize)
    }
}

extension Frame.Method {
    init(_ method: amqp_method_t) {
        func fields<Fields>(_: Fields.Type) -> Fields { method.decoded.load(as: Fields.self) }
        switch method.id {
        case AMQP_BASIC_DELIVER_METHOD:
            let deliver = fields(amqp_basic_deliver_t.self)
            self = .deliver(
                tag: deliver.delivery_tag, redelivered: deliver.redelivered != 0,
                exchange: String(deliver.exchange), routingKey: String(deliver.routing_key))
        case AMQP_BASIC_RETURN_METHOD:
            let returned = fields(amqp_basic_return_t.self)
            self = .returned(code: Int(returned.reply_code), text: String(returned.reply_text))
        case AMQP_BASIC_ACK_METHOD:
            let ack = fields(amqp_basic_ack_t.self)
            self = .ack(tag: ack.delivery_tag, multiple: ack.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let nack = fields(amqp_basic_nack_t.self)
            self = .nack(tag: nack.delivery_tag, multiple: nack.multiple != 0)
        case AMQP_BASIC_CANCEL_METHOD:
            self = .cancel(consumerTag: String(fields(amqp_basic_cancel_t.self).consumer_tag))
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = fields(amqp_channel_close_t.self)
            self = .channelClose(code: Int(close.reply_code), text: String(close.reply_text))
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = fields(amqp_connection_close_t.self)
            self = .connectionClose(code: Int(close.reply_code), text: String(close.reply_text))
        case AMQP_CONNECTION_BLOCKED_METHOD:
            self = .blocked(reason: String(fields(amqp_connection_blocked_t.self).reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD: self = .unblocked
        default: self = .other(method.id)
        }
    }
}
