//! Names and limits of the protocol. Each bound is what a stranger can make grow.

/// Protocol name of the exchange, as libp2p negotiates it. The number is the major version.
pub const EXCHANGE_PROTOCOL: &str = "/hubless/exchange/1";

/// Version inside [`EXCHANGE_PROTOCOL`], sent in `Hello`.
pub const EXCHANGE_VERSION: u32 = 1;

/// Protocol name of our DHT: apart from IPFS, whose nodes could not serve us.
pub const KAD_PROTOCOL: &str = "/hubless/kad/1.0.0";

/// Bytes of a frame's header. The largest is `Have` with 1,024 ranges, about 12 KiB.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a frame's payload: one chunk.
pub const PAYLOAD_BYTES_MAX: usize = hubless_content::CHUNK_SIZE;

/// Chunks of one ask: 4 MiB, what a fast peer sends in a few milliseconds, so that a cancel
/// never waits long.
pub const CHUNKS_PER_ASK_MAX: u32 = 16;

/// Open asks of one stream: 256 chunks of 256 KiB fill 1 Gbit/s at round trips of up to 0.5 s.
pub const ASKS_PER_STREAM_MAX: usize = 256;

/// Ranges of one `Have`.
pub const HAVE_RANGES_MAX: usize = 1024;

/// Peers of one answer to `GetPeers`.
pub const PEERS_PER_ANSWER_MAX: usize = 32;

/// Addresses of one peer in an answer.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;

/// Bytes of a peer id or an address in an answer: multiaddrs with a relay stay below 150.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// The longest wait that a `Busy` can ask for, in milliseconds: longer ones are cut to it.
pub const BUSY_WAIT_MS_MAX: u32 = 60_000;

/// Files of one `GetDigests`: an ask has 17 KiB then and its answer 31 KiB, below
/// [`HEADER_BYTES_MAX`].
pub const DIGESTS_PER_ASK_MAX: usize = 512;

/// How long an answerer may wait for digests that it computes before it answers `GetDigests`, in
/// milliseconds: clients of a hub wait 10 s for all that they asked for.
pub const DIGESTS_WAIT_MS_MAX: u64 = 2_000;
