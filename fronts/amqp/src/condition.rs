//! The names of errors that the standard defines (part 2.8.15 to 2.8.18).

/// Something unexpected happened inside.
pub const INTERNAL_ERROR: &str = "amqp:internal-error";
/// What was named does not exist.
pub const NOT_FOUND: &str = "amqp:not-found";
/// The peer may not do this.
pub const UNAUTHORIZED_ACCESS: &str = "amqp:unauthorized-access";
/// Bytes that are no AMQP.
pub const DECODE_ERROR: &str = "amqp:decode-error";
/// A limit of the peer's share was reached.
pub const RESOURCE_LIMIT_EXCEEDED: &str = "amqp:resource-limit-exceeded";
/// What was asked is not done here, or not now.
pub const NOT_ALLOWED: &str = "amqp:not-allowed";
/// A field has a value that cannot be.
pub const INVALID_FIELD: &str = "amqp:invalid-field";
/// Not made.
pub const NOT_IMPLEMENTED: &str = "amqp:not-implemented";
/// A frame is too small for what it must hold, or larger than agreed.
pub const FRAME_SIZE_TOO_SMALL: &str = "amqp:frame-size-too-small";
/// The connection is ended by this side.
pub const CONNECTION_FORCED: &str = "amqp:connection:forced";
/// A frame that cannot be: sizes that do not fit, a channel or handle that was not agreed.
pub const FRAMING_ERROR: &str = "amqp:connection:framing-error";
/// More transfers than the session's window has room for.
pub const WINDOW_VIOLATION: &str = "amqp:session:window-violation";
/// A frame for a handle that no link has.
pub const UNATTACHED_HANDLE: &str = "amqp:session:unattached-handle";
/// A handle that a link has already.
pub const HANDLE_IN_USE: &str = "amqp:session:handle-in-use";
/// The link is ended by this side.
pub const DETACH_FORCED: &str = "amqp:link:detach-forced";
/// More deliveries than credit was given for.
pub const TRANSFER_LIMIT_EXCEEDED: &str = "amqp:link:transfer-limit-exceeded";
/// A message that is larger than the link takes.
pub const MESSAGE_SIZE_EXCEEDED: &str = "amqp:link:message-size-exceeded";
/// Another link took this one's place.
pub const STOLEN: &str = "amqp:link:stolen";
