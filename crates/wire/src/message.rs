//! The messages as types that obey the protocol's rules, and their conversion from and to protobuf.

use std::{fmt, ops::Range, time::Duration};

use bytes::Bytes;
use hubless_content::{
    Alias, ChunkIndex, CommitId, ContentHash, DocumentHash, FILE_SIZE_MAX, FileHash, GitBlobId,
    HEAD_RECORD_BYTES_MAX, MANIFEST_BYTES_MAX, PublisherId, Sha256, SubjectKey,
};

use crate::{
    error::FrameError,
    limits::{
        ADDRESS_BYTES_MAX, ADDRESSES_PER_PEER_MAX, BUSY_WAIT_MS_MAX, CHUNKS_PER_REQUEST_MAX,
        DIGESTS_PER_REQUEST_MAX, DOCUMENT_BYTES_MAX, EXCHANGE_VERSION, HAVE_RANGES_MAX,
        KNOWN_REVISIONS_MAX, PEERS_PER_RESPONSE_MAX,
    },
    proto::{self, header::Body as Proto},
};

/// The chunks that an availability describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A model: its chunks are numbered through all files in manifest order.
    Content(ContentHash),
    /// One file.
    File(FileHash),
}

/// A peer and its known addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAddresses {
    /// The bytes of its libp2p peer id.
    pub id: Bytes,
    /// The bytes of its multiaddrs.
    pub addresses: Vec<Bytes>,
}

/// The ids that other hubs use for a file, as a peer claims; only the file's bytes prove them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigests {
    /// SHA-256 of the file's bytes.
    pub sha256: Sha256,
    /// The file's id as a git blob.
    pub git_blob: GitBlobId,
    /// Whether hubs store it as a large file whatever its name: see `FileDigests` in the document.
    pub binary: bool,
}

/// A request of the peer that opened the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Bytes of a manifest from `offset`.
    Manifest {
        /// The model.
        content: ContentHash,
        /// First byte wanted.
        offset: u32,
    },
    /// Chaining values from `first`.
    ChunkList {
        /// The file.
        file: FileHash,
        /// Its length in bytes, as the requester believes.
        size: u64,
        /// First value wanted.
        first: u32,
    },
    /// Which chunks the responder holds, and those it gains until [`Request::Cancel`].
    Availability(Scope),
    /// The bytes of consecutive chunks.
    Chunks {
        /// The file.
        file: FileHash,
        /// Its length in bytes, as the requester believes.
        size: u64,
        /// First chunk wanted.
        first: ChunkIndex,
        /// Number of chunks; 1 to [`CHUNKS_PER_REQUEST_MAX`].
        count: u32,
    },
    /// Other members of the swarm.
    Peers(ContentHash),
    /// Which held file has this alias.
    Alias(Alias),
    /// A chunk that the responder sent before is wrong. Answered [`Response::NotHere`].
    ReportWrong {
        /// The file.
        file: FileHash,
        /// The chunk.
        index: ChunkIndex,
    },
    /// The ids that other hubs use for these files; 1 to [`DIGESTS_PER_REQUEST_MAX`].
    Digests(Vec<FileHash>),
    /// The newest head of a repo or a profile that the responder has.
    Head(SubjectKey),
    /// Heads of a publisher, or of one of its repos, as the responder gets them, until
    /// [`Request::Cancel`].
    Watch {
        /// The publisher.
        publisher: PublisherId,
        /// Only this repo, or the profile.
        subject: Option<SubjectKey>,
    },
    /// A head for the responder to take: the bytes of a [`HeadRecord`](hubless_content::HeadRecord), at
    /// most [`HEAD_RECORD_BYTES_MAX`]. Answered [`Response::Head`] with the one that it then has.
    PutHead(Bytes),
    /// Bytes of a state or a profile from `offset`.
    Document {
        /// The repo or the profile that it belongs to.
        subject: SubjectKey,
        /// BLAKE3 of the document.
        hash: DocumentHash,
        /// First byte wanted.
        offset: u32,
    },
    /// The revisions from `tip` back to those that the requester has.
    History {
        /// The repo.
        subject: SubjectKey,
        /// The newest revision wanted.
        tip: CommitId,
        /// Revisions that the requester has; at most [`KNOWN_REVISIONS_MAX`].
        known: Vec<CommitId>,
    },
    /// Ends the request with this id; not answered.
    Cancel,
}

/// A response to an [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Payload: bytes of the manifest from the requested offset.
    Manifest {
        /// Bytes of the whole manifest; at most [`MANIFEST_BYTES_MAX`].
        total: u32,
    },
    /// Payload: chaining values of 32 bytes from the requested one on.
    ChunkList,
    /// Payload: bits from chunk `first` on, least significant first; none if `complete`.
    Availability {
        /// The chunk of the first bit; a multiple of 8.
        first: u32,
        /// Chunks in all.
        total: u32,
        /// Whether all chunks are held.
        complete: bool,
    },
    /// Chunks gained since; at most [`HAVE_RANGES_MAX`] ranges.
    Have(Vec<Range<u32>>),
    /// Chunks that the responder began to send to other peers, each for the first time; at most
    /// [`HAVE_RANGES_MAX`] ranges. A requester that has a choice requests another chunk.
    OnTheWay(Vec<Range<u32>>),
    /// Payload: the bytes of this chunk of the requested file.
    Chunk(ChunkIndex),
    /// At most [`PEERS_PER_RESPONSE_MAX`] peers.
    Peers(Vec<PeerAddresses>),
    /// A claim of the peer; only the file's bytes prove it.
    Alias {
        /// The file.
        file: FileHash,
        /// Its length in bytes.
        size: u64,
    },
    /// One entry for each requested file, in the same order; `None` if the peer does not know it.
    Digests(Vec<Option<FileDigests>>),
    /// The bytes of a [`HeadRecord`](hubless_content::HeadRecord), at most [`HEAD_RECORD_BYTES_MAX`];
    /// nothing of it is proven.
    Head(Bytes),
    /// Payload: bytes of the document from the requested offset.
    Document {
        /// Bytes of the whole document; at most [`DOCUMENT_BYTES_MAX`].
        total: u32,
    },
    /// Payload: revisions, newest first, each after its length as a varint.
    History {
        /// Whether it is the last page.
        last: bool,
    },
    /// Not held, or not given to this requester.
    NotHere,
    /// Repeat the request after this time; at most [`BUSY_WAIT_MS_MAX`].
    Busy(Duration),
    /// Beyond a limit of the responder.
    TooLarge,
    /// The request broke a rule.
    Malformed,
}

/// The message of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The first frame of each side.
    Hello,
    /// From the peer that opened the stream.
    Request(Request),
    /// A request of a later version; answered [`Response::NotHere`].
    UnknownRequest,
    /// From the other peer.
    Response(Response),
}

impl Body {
    /// Whether raw bytes may follow this message.
    pub(crate) fn may_have_payload(&self) -> bool {
        matches!(
            self,
            Self::Response(
                Response::Manifest { .. }
                    | Response::ChunkList
                    | Response::Availability { .. }
                    | Response::Chunk(_)
                    | Response::Document { .. }
                    | Response::History { .. }
            )
        )
    }
}

impl From<Request> for Body {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Body {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

impl Body {
    /// As protobuf; `None` for a request of a later version, which this version cannot encode.
    pub(crate) fn into_proto(self) -> Option<Proto> {
        match self {
            Self::Hello => Some(Proto::Hello(proto::Hello {
                version: EXCHANGE_VERSION,
            })),
            Self::Request(request) => Some(request.into()),
            Self::UnknownRequest => None,
            Self::Response(response) => Some(response.into()),
        }
    }
}

fn hash_bytes(hash: &[u8]) -> Bytes {
    Bytes::copy_from_slice(hash)
}

impl From<Request> for Proto {
    fn from(request: Request) -> Self {
        match request {
            Request::Manifest { content, offset } => Self::GetManifest(proto::GetManifest {
                content: content_bytes(content),
                offset,
            }),
            Request::ChunkList { file, size, first } => Self::GetChunkList(proto::GetChunkList {
                file: file_bytes(file),
                size,
                first,
            }),
            Request::Availability(Scope::Content(content)) => {
                let content = content_bytes(content);
                Self::GetAvailability(proto::GetAvailability {
                    content,
                    file: Bytes::new(),
                })
            }
            Request::Availability(Scope::File(file)) => {
                let file = file_bytes(file);
                Self::GetAvailability(proto::GetAvailability {
                    content: Bytes::new(),
                    file,
                })
            }
            Request::Chunks {
                file,
                size,
                first,
                count,
            } => {
                let file = file_bytes(file);
                Self::GetChunks(proto::GetChunks {
                    file,
                    size,
                    first: first.0,
                    count,
                })
            }
            Request::Peers(content) => Self::GetPeers(proto::GetPeers {
                content: content_bytes(content),
            }),
            Request::Alias(alias) => Self::GetAlias(alias_bytes(alias)),
            Request::ReportWrong { file, index } => Self::ReportWrong(proto::ReportWrong {
                file: file_bytes(file),
                index: index.0,
            }),
            Request::Digests(files) => Self::GetDigests(proto::GetDigests {
                files: files.into_iter().map(file_bytes).collect(),
            }),
            Request::Head(subject) => Self::GetHead(proto::GetHead {
                key: hash_bytes(subject.as_bytes()),
            }),
            Request::Watch { publisher, subject } => Self::Watch(proto::Watch {
                publisher: hash_bytes(publisher.as_bytes()),
                key: subject.map_or_else(Bytes::new, |key| hash_bytes(key.as_bytes())),
            }),
            Request::PutHead(record) => Self::PutHead(proto::PutHead { record }),
            Request::Document {
                subject,
                hash,
                offset,
            } => Self::GetDocument(proto::GetDocument {
                key: hash_bytes(subject.as_bytes()),
                hash: hash_bytes(hash.as_bytes()),
                offset,
            }),
            Request::History {
                subject,
                tip,
                known,
            } => Self::GetHistory(proto::GetHistory {
                key: hash_bytes(subject.as_bytes()),
                tip: hash_bytes(tip.as_bytes()),
                known: known.iter().map(|id| hash_bytes(id.as_bytes())).collect(),
            }),
            Request::Cancel => Self::Cancel(proto::Cancel {}),
        }
    }
}

fn content_bytes(hash: ContentHash) -> Bytes {
    hash_bytes(hash.as_bytes())
}

fn file_bytes(hash: FileHash) -> Bytes {
    hash_bytes(hash.as_bytes())
}

fn alias_bytes(alias: Alias) -> proto::GetAlias {
    let (sha256, git_blob) = match alias {
        Alias::Sha256(sha256) => (hash_bytes(sha256.as_bytes()), Bytes::new()),
        Alias::GitBlob(id) => (Bytes::new(), hash_bytes(id.as_bytes())),
    };
    proto::GetAlias { sha256, git_blob }
}

impl From<Response> for Proto {
    fn from(response: Response) -> Self {
        match response {
            Response::Manifest { total } => Self::Manifest(proto::ManifestPage { total }),
            Response::ChunkList => Self::ChunkList(proto::ChunkListPage {}),
            Response::Availability {
                first,
                total,
                complete,
            } => Self::Availability(proto::AvailabilityPage {
                first,
                total,
                complete,
            }),
            Response::Have(ranges) => Self::Have(proto::Have {
                ranges: ranges.into_iter().map(range_message).collect(),
            }),
            Response::OnTheWay(ranges) => Self::OnTheWay(proto::OnTheWay {
                ranges: ranges.into_iter().map(range_message).collect(),
            }),
            Response::Chunk(index) => Self::Chunk(proto::ChunkData { index: index.0 }),
            Response::Peers(peers) => {
                let peer = |PeerAddresses { id, addresses }| proto::Peer { id, addresses };
                Self::Peers(proto::Peers {
                    peers: peers.into_iter().map(peer).collect(),
                })
            }
            Response::Alias { file, size } => Self::Alias(proto::AliasOf {
                file: file_bytes(file),
                size,
            }),
            Response::Digests(files) => Self::Digests(proto::Digests {
                files: files.into_iter().map(digests_message).collect(),
            }),
            Response::Head(record) => Self::Head(proto::HeadIs { record }),
            Response::Document { total } => Self::Document(proto::DocumentPage { total }),
            Response::History { last } => Self::History(proto::HistoryPage { last }),
            Response::NotHere => Self::NotHere(proto::NotHere {}),
            Response::Busy(wait) => {
                let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
                Self::Busy(proto::Busy {
                    wait_ms: wait_ms.min(BUSY_WAIT_MS_MAX),
                })
            }
            Response::TooLarge => Self::TooLarge(proto::TooLarge {}),
            Response::Malformed => Self::Malformed(proto::Malformed {}),
        }
    }
}

fn digests_message(digests: Option<FileDigests>) -> proto::FileDigests {
    digests.map_or_else(proto::FileDigests::default, |digests| proto::FileDigests {
        sha256: hash_bytes(digests.sha256.as_bytes()),
        git_blob: hash_bytes(digests.git_blob.as_bytes()),
        binary: digests.binary,
    })
}

fn range_message(range: Range<u32>) -> proto::Range {
    proto::Range {
        first: range.start,
        count: range.end.saturating_sub(range.start),
    }
}

fn rule(holds: bool, text: &'static str) -> Result<(), FrameError> {
    if holds {
        Ok(())
    } else {
        Err(FrameError::rule(text))
    }
}

/// As [`rule`], for a limit: the text is made from the constant, when the rule is broken.
fn limit(holds: bool, text: fmt::Arguments<'_>) -> Result<(), FrameError> {
    if holds {
        Ok(())
    } else {
        Err(FrameError::Rule(text.to_string().into()))
    }
}

fn content(bytes: &Bytes) -> Result<ContentHash, FrameError> {
    ContentHash::from_slice(bytes).ok_or(FrameError::rule("a hash has 32 bytes"))
}

fn file(bytes: &Bytes) -> Result<FileHash, FrameError> {
    FileHash::from_slice(bytes).ok_or(FrameError::rule("a hash has 32 bytes"))
}

fn size(size: u64) -> Result<u64, FrameError> {
    limit(
        size <= FILE_SIZE_MAX,
        format_args!("no file is that large: at most {FILE_SIZE_MAX} bytes"),
    )?;
    Ok(size)
}

impl TryFrom<Proto> for Body {
    type Error = FrameError;

    fn try_from(body: Proto) -> Result<Self, FrameError> {
        Ok(match body {
            Proto::Hello(hello) => {
                rule(hello.version >= 1, "versions begin at 1")?;
                Self::Hello
            }
            Proto::GetManifest(request) => {
                let (content, offset) = (content(&request.content)?, request.offset);
                Request::Manifest { content, offset }.into()
            }
            Proto::GetChunkList(request) => {
                let (file, size) = (file(&request.file)?, size(request.size)?);
                Request::ChunkList {
                    file,
                    size,
                    first: request.first,
                }
                .into()
            }
            Proto::GetAvailability(request) => Request::Availability(scope(&request)?).into(),
            Proto::GetChunks(request) => chunks(&request)?.into(),
            Proto::GetPeers(request) => Request::Peers(content(&request.content)?).into(),
            Proto::GetAlias(request) => Request::Alias(alias(&request)?).into(),
            Proto::ReportWrong(report) => {
                let (file, index) = (file(&report.file)?, ChunkIndex(report.index));
                Request::ReportWrong { file, index }.into()
            }
            Proto::GetDigests(request) => Request::Digests(files(&request)?).into(),
            Proto::GetHead(request) => Request::Head(subject(&request.key)?).into(),
            Proto::Watch(request) => {
                let publisher = PublisherId::from_slice(&request.publisher)
                    .ok_or(FrameError::rule("the id of a publisher has 32 bytes"))?;
                let only = (!request.key.is_empty()).then(|| subject(&request.key));
                let subject = only.transpose()?;
                Request::Watch { publisher, subject }.into()
            }
            Proto::PutHead(request) => Request::PutHead(record(request.record)?).into(),
            Proto::GetDocument(request) => {
                let hash = DocumentHash::from_slice(&request.hash)
                    .ok_or(FrameError::rule("a hash has 32 bytes"))?;
                let (subject, offset) = (subject(&request.key)?, request.offset);
                Request::Document {
                    subject,
                    hash,
                    offset,
                }
                .into()
            }
            Proto::GetHistory(request) => history(&request)?.into(),
            Proto::Cancel(_) => Request::Cancel.into(),
            Proto::Manifest(page) => {
                // The fetcher collects this many bytes.
                limit(
                    page.total as usize <= MANIFEST_BYTES_MAX,
                    format_args!("no manifest is that large: at most {MANIFEST_BYTES_MAX} bytes"),
                )?;
                Response::Manifest { total: page.total }.into()
            }
            Proto::ChunkList(_) => Response::ChunkList.into(),
            Proto::Availability(page) => {
                // So that a page is copied into a bitmap byte by byte.
                rule(
                    page.first.is_multiple_of(8),
                    "a page begins at a whole byte",
                )?;
                let proto::AvailabilityPage {
                    first,
                    total,
                    complete,
                } = page;
                Response::Availability {
                    first,
                    total,
                    complete,
                }
                .into()
            }
            Proto::Have(have) => Response::Have(ranges(&have.ranges)?).into(),
            Proto::OnTheWay(news) => Response::OnTheWay(ranges(&news.ranges)?).into(),
            Proto::Chunk(chunk) => Response::Chunk(ChunkIndex(chunk.index)).into(),
            Proto::Peers(response) => Response::Peers(peers(response)?).into(),
            Proto::Alias(response) => {
                let (file, size) = (file(&response.file)?, size(response.size)?);
                Response::Alias { file, size }.into()
            }
            Proto::Digests(response) => Response::Digests(digests(&response)?).into(),
            Proto::Head(response) => Response::Head(record(response.record)?).into(),
            Proto::Document(page) => {
                // The requester collects this many bytes.
                limit(
                    page.total as usize <= DOCUMENT_BYTES_MAX,
                    format_args!("no document is that large: at most {DOCUMENT_BYTES_MAX} bytes"),
                )?;
                Response::Document { total: page.total }.into()
            }
            Proto::History(page) => Response::History { last: page.last }.into(),
            Proto::NotHere(_) => Response::NotHere.into(),
            Proto::Busy(busy) => {
                // Cut, not refused: the peer is busy, and a long wait breaks no rule.
                let wait = busy.wait_ms.min(BUSY_WAIT_MS_MAX);
                Response::Busy(Duration::from_millis(wait.into())).into()
            }
            Proto::TooLarge(_) => Response::TooLarge.into(),
            Proto::Malformed(_) => Response::Malformed.into(),
        })
    }
}

fn subject(bytes: &Bytes) -> Result<SubjectKey, FrameError> {
    SubjectKey::from_slice(bytes).ok_or(FrameError::rule("the key of a repo has 32 bytes"))
}

fn record(bytes: Bytes) -> Result<Bytes, FrameError> {
    limit(
        (1..=HEAD_RECORD_BYTES_MAX).contains(&bytes.len()),
        format_args!("a head has 1 to {HEAD_RECORD_BYTES_MAX} bytes"),
    )?;
    Ok(bytes)
}

fn history(request: &proto::GetHistory) -> Result<Request, FrameError> {
    limit(
        request.known.len() <= KNOWN_REVISIONS_MAX,
        format_args!("at most {KNOWN_REVISIONS_MAX} known revisions"),
    )?;
    let id = |bytes: &Bytes| {
        CommitId::from_slice(bytes).ok_or(FrameError::rule("the id of a revision has 20 bytes"))
    };
    Ok(Request::History {
        subject: subject(&request.key)?,
        tip: id(&request.tip)?,
        known: request.known.iter().map(id).collect::<Result<_, _>>()?,
    })
}

fn scope(request: &proto::GetAvailability) -> Result<Scope, FrameError> {
    rule(
        request.content.is_empty() != request.file.is_empty(),
        "availability of a model or of a file",
    )?;
    if request.file.is_empty() {
        Ok(Scope::Content(content(&request.content)?))
    } else {
        Ok(Scope::File(file(&request.file)?))
    }
}

fn alias(request: &proto::GetAlias) -> Result<Alias, FrameError> {
    rule(
        request.sha256.is_empty() != request.git_blob.is_empty(),
        "one alias of a file",
    )?;
    if request.git_blob.is_empty() {
        sha256(&request.sha256).map(Alias::Sha256)
    } else {
        git_blob(&request.git_blob).map(Alias::GitBlob)
    }
}

fn sha256(bytes: &Bytes) -> Result<Sha256, FrameError> {
    Sha256::from_slice(bytes).ok_or(FrameError::rule("a hash has 32 bytes"))
}

fn git_blob(bytes: &Bytes) -> Result<GitBlobId, FrameError> {
    GitBlobId::from_slice(bytes).ok_or(FrameError::rule("a git blob id has 20 bytes"))
}

fn files(request: &proto::GetDigests) -> Result<Vec<FileHash>, FrameError> {
    limit(
        (1..=DIGESTS_PER_REQUEST_MAX).contains(&request.files.len()),
        format_args!("1 to {DIGESTS_PER_REQUEST_MAX} files a request"),
    )?;
    request.files.iter().map(file).collect()
}

fn digests(response: &proto::Digests) -> Result<Vec<Option<FileDigests>>, FrameError> {
    limit(
        response.files.len() <= DIGESTS_PER_REQUEST_MAX,
        format_args!("the digests of at most {DIGESTS_PER_REQUEST_MAX} files"),
    )?;
    let digests = |file: &proto::FileDigests| {
        // All empty stands for "unknown", see the document; one alone breaks the rule below.
        if file.sha256.is_empty() && file.git_blob.is_empty() {
            return Ok(None);
        }
        Ok(Some(FileDigests {
            sha256: sha256(&file.sha256)?,
            git_blob: git_blob(&file.git_blob)?,
            binary: file.binary,
        }))
    };
    response.files.iter().map(digests).collect()
}

fn chunks(request: &proto::GetChunks) -> Result<Request, FrameError> {
    limit(
        (1..=CHUNKS_PER_REQUEST_MAX).contains(&request.count),
        format_args!("1 to {CHUNKS_PER_REQUEST_MAX} chunks a request"),
    )?;
    rule(
        request.first.checked_add(request.count).is_some(),
        "chunk numbers have 32 bits",
    )?;
    let (file, size) = (file(&request.file)?, size(request.size)?);
    Ok(Request::Chunks {
        file,
        size,
        first: ChunkIndex(request.first),
        count: request.count,
    })
}

fn ranges(ranges: &[proto::Range]) -> Result<Vec<Range<u32>>, FrameError> {
    limit(
        ranges.len() <= HAVE_RANGES_MAX,
        format_args!("at most {HAVE_RANGES_MAX} ranges"),
    )?;
    let range = |range: &proto::Range| {
        let end = range
            .first
            .checked_add(range.count)
            .filter(|end| *end > range.first);
        Ok(range.first..end.ok_or(FrameError::rule("a range has at least one chunk"))?)
    };
    ranges.iter().map(range).collect()
}

fn peers(response: proto::Peers) -> Result<Vec<PeerAddresses>, FrameError> {
    limit(
        response.peers.len() <= PEERS_PER_RESPONSE_MAX,
        format_args!("at most {PEERS_PER_RESPONSE_MAX} peers"),
    )?;
    let peer = |peer: proto::Peer| {
        limit(
            peer.addresses.len() <= ADDRESSES_PER_PEER_MAX,
            format_args!("at most {ADDRESSES_PER_PEER_MAX} addresses a peer"),
        )?;
        let short = |bytes: &Bytes| bytes.len() <= ADDRESS_BYTES_MAX;
        limit(
            short(&peer.id) && peer.addresses.iter().all(short),
            format_args!("at most {ADDRESS_BYTES_MAX} bytes an address"),
        )?;
        Ok(PeerAddresses {
            id: peer.id,
            addresses: peer.addresses,
        })
    };
    response.peers.into_iter().map(peer).collect()
}
