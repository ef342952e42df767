//! What peers say: messages, codec, versions, limits.
