//! Names and limits of the protocol. Each limit bounds something that a stranger can make grow.

/// Protocol name of the exchange, as libp2p negotiates it. The number is the major version, and stands
/// for the chunk size too: a node with another size has another name here, and is incompatible from
/// the start instead of a node that breaks rules.
pub const EXCHANGE_PROTOCOL: &str = "/hubless/exchange/1";

/// Version inside [`EXCHANGE_PROTOCOL`], sent in `Hello`.
pub const EXCHANGE_VERSION: u32 = 1;

/// Protocol name of hubless's DHT, separate from that of IPFS, whose nodes do not serve models.
pub const KAD_PROTOCOL: &str = "/hubless/kad/1.0.0";

/// Bytes of a frame's header. The largest is `Have` with 1,024 ranges, about 12 KiB.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a frame's payload: one chunk.
pub const PAYLOAD_BYTES_MAX: usize = hubless_content::CHUNK_SIZE;

/// Chunks of one request: 4 MiB, which a fast peer sends in a few milliseconds, so that a cancel
/// takes effect soon.
pub const CHUNKS_PER_REQUEST_MAX: u32 = 16;

/// Open requests of one stream: 256 chunks of 256 KiB fill 1 Gbit/s at round trips of up to 0.5 s.
pub const REQUESTS_PER_STREAM_MAX: usize = 256;

/// Ranges of one `Have`.
pub const HAVE_RANGES_MAX: usize = 1024;

/// Peers of one response to `GetPeers`.
pub const PEERS_PER_RESPONSE_MAX: usize = 32;

/// Addresses of one peer in a response.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;

/// Bytes of a peer id or an address in a response: multiaddrs with a relay stay below 150.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// The longest wait of a `Busy`, in milliseconds: longer ones are cut to it, so that a peer cannot
/// disable a source for good.
pub const BUSY_WAIT_MS_MAX: u32 = 60_000;

/// Files of one `GetDigests`: such a request has 17 KiB and its response 31 KiB, below
/// [`HEADER_BYTES_MAX`].
pub const DIGESTS_PER_REQUEST_MAX: usize = 512;

/// How long a responder may wait for digests that it computes for `GetDigests`, in milliseconds:
/// clients of a hub wait 10 s for their whole request.
pub const DIGESTS_WAIT_MS_MAX: u64 = 2_000;

/// Bytes of a document: those of a state, and of a profile.
pub const DOCUMENT_BYTES_MAX: usize = hubless_content::STATE_BYTES_MAX;
const _: () = assert!(hubless_content::PROFILE_BYTES_MAX <= DOCUMENT_BYTES_MAX);

/// Revisions that a requester of a history says that it has.
pub const KNOWN_REVISIONS_MAX: usize = 64;

/// Revisions of one response to `GetHistory`: some 200 KB, so that a responder walks its history a bit at
/// a time.
pub const REVISIONS_PER_RESPONSE_MAX: usize = 1024;
