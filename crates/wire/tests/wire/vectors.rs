//! Encoding and decoding agree with the bytes of `proto/vectors/`.

use std::time::Duration;

use crate::common::{hex, sections};
use bytes::{Bytes, BytesMut};
use hubless_content::{
    ChunkIndex, CommitId, ContentHash, DocumentHash, FileHash, GitBlobId, Lfs, Manifest,
    ManifestEntry, PublisherId, Revision, Sha256, SubjectKey, Tree, TreeEntry,
};
use hubless_wire::{Body, FileDigests, Frame, FrameHead, Request, Response, Scope, header_len};

fn payload(bytes: usize) -> Bytes {
    vec![7; bytes].into()
}

fn expected() -> Vec<(&'static str, Frame)> {
    let (content, file) = (ContentHash::new([0xaa; 32]), FileHash::new([0xbb; 32]));
    let (publisher, subject) = (PublisherId::new([0x9a; 32]), SubjectKey::new([0x9b; 32]));
    vec![
        ("hello", Frame::new(0, Body::Hello)),
        (
            "request manifest",
            Frame::new(
                5,
                Request::Manifest {
                    content,
                    offset: 262_144,
                },
            ),
        ),
        (
            "request chunk list",
            Frame::new(
                6,
                Request::ChunkList {
                    file,
                    size: 20_971_520,
                    first: 7,
                },
            ),
        ),
        (
            "request availability of a model",
            Frame::new(7, Request::Availability(Scope::Content(content))),
        ),
        (
            "request availability of a file",
            Frame::new(8, Request::Availability(Scope::File(file))),
        ),
        (
            "request chunks",
            Frame::new(
                128,
                Request::Chunks {
                    file,
                    size: 1_310_720,
                    first: ChunkIndex(3),
                    count: 2,
                },
            ),
        ),
        ("request peers", Frame::new(9, Request::Peers(content))),
        (
            "request alias by SHA-256",
            Frame::new(10, Request::Alias(Sha256::new([0xcc; 32]).into())),
        ),
        (
            "request alias by git blob id",
            Frame::new(11, Request::Alias(GitBlobId::new([0xdd; 20]).into())),
        ),
        ("request head", Frame::new(13, Request::Head(subject))),
        (
            "request watch of a publisher",
            Frame::new(
                14,
                Request::Watch {
                    publisher,
                    subject: None,
                },
            ),
        ),
        (
            "request watch of a repo",
            Frame::new(
                15,
                Request::Watch {
                    publisher,
                    subject: Some(subject),
                },
            ),
        ),
        (
            "put head",
            Frame::new(16, Request::PutHead(Bytes::from_static(&[1, 2, 3]))),
        ),
        (
            "request document",
            Frame::new(
                17,
                Request::Document {
                    subject,
                    hash: DocumentHash::new([0xab; 32]),
                    offset: 262_144,
                },
            ),
        ),
        (
            "request history",
            Frame::new(
                18,
                Request::History {
                    subject,
                    tip: CommitId::new([0xac; 20]),
                    known: vec![CommitId::new([0xad; 20]), CommitId::new([0xae; 20])],
                },
            ),
        ),
        (
            "head",
            Frame::new(13, Response::Head(Bytes::from_static(&[1, 2, 3]))),
        ),
        (
            "document",
            Frame {
                id: 17,
                body: Response::Document { total: 262_147 }.into(),
                payload: payload(3),
            },
        ),
        (
            "history",
            Frame {
                id: 18,
                body: Response::History { last: true }.into(),
                payload: payload(5),
            },
        ),
        (
            "report of a wrong chunk",
            Frame::new(
                12,
                Request::ReportWrong {
                    file,
                    index: ChunkIndex(3),
                },
            ),
        ),
        (
            "request digests",
            Frame::new(12, Request::Digests(vec![file, FileHash::new([0xee; 32])])),
        ),
        ("cancel", Frame::new(128, Request::Cancel)),
        (
            "manifest page of 3 bytes",
            Frame::new(5, Response::Manifest { total: 512 }).with_payload(payload(3)),
        ),
        (
            "availability page of 2 bytes",
            Frame::new(
                7,
                Response::Availability {
                    first: 256,
                    total: 268,
                    complete: false,
                },
            )
            .with_payload(payload(2)),
        ),
        (
            "availability complete",
            Frame::new(
                7,
                Response::Availability {
                    first: 0,
                    total: 268,
                    complete: true,
                },
            ),
        ),
        ("have", Frame::new(7, Response::Have(vec![0..3, 256..257]))),
        (
            "on the way",
            Frame::new(7, Response::OnTheWay(vec![5..6, 300..302])),
        ),
        (
            "chunk",
            Frame::new(128, Response::Chunk(ChunkIndex(3))).with_payload(payload(262_144)),
        ),
        (
            "alias",
            Frame::new(
                10,
                Response::Alias {
                    file,
                    size: 20_971_520,
                },
            ),
        ),
        (
            "digests",
            Frame::new(
                12,
                Response::Digests(vec![
                    Some(FileDigests {
                        sha256: Sha256::new([0xcc; 32]),
                        git_blob: GitBlobId::new([0xdd; 20]),
                        binary: true,
                    }),
                    None,
                ]),
            ),
        ),
        ("not here", Frame::new(9, Response::NotHere)),
        (
            "busy",
            Frame::new(9, Response::Busy(Duration::from_millis(250))),
        ),
    ]
}

#[test]
fn frames_have_the_documented_bytes() {
    let vectors = sections(include_str!("../../../../proto/vectors/frames.txt"));
    let expected = expected();
    assert_eq!(vectors.len(), expected.len());
    for (name, frame) in expected {
        let mut head = BytesMut::new();
        frame.encode_head(&mut head);
        assert_eq!(&head[..], &vectors[name][..], "{name}");

        let (length, start) = header_len(&head).unwrap().unwrap();
        assert_eq!(length + start, head.len(), "{name}");
        let decoded = FrameHead::decode(&head[start..]).unwrap();
        assert_eq!((decoded.id, decoded.body), (frame.id, frame.body), "{name}");
        assert_eq!(decoded.payload, frame.payload.len(), "{name}");
    }
}

#[test]
fn a_manifest_has_the_documented_bytes() {
    let text = include_str!("../../../../proto/vectors/manifest.txt");
    let (bytes, hash) = text.split_once("= content hash ").unwrap();
    let bytes = hex(bytes);
    let entry = |path: &str, size, fill| ManifestEntry {
        path: path.parse().unwrap(),
        size,
        hash: FileHash::new([fill; 32]),
    };
    let entries = vec![
        entry("a", 0, 0x11),
        entry("sub/b", 300, 0x33),
        entry("sub-x", 4096, 0x22),
    ];
    let manifest = Manifest::new(entries).unwrap();
    assert_eq!(manifest.encode(), bytes);
    assert_eq!(manifest.content_hash().to_string(), hash.trim());
    assert_eq!(Manifest::decode(&bytes), Ok(manifest));
}

#[test]
fn revisions_have_the_documented_bytes() {
    let vectors = sections(include_str!("../../../../proto/vectors/revision.txt"));
    let content = Revision {
        tree: Tree::Content(ContentHash::new([0x11; 32])),
        parents: vec![CommitId::new([0x22; 20])],
        time: 1_700_000_000_000,
        title: "first".into(),
        message: String::new(),
        author: "me".into(),
    };
    let entries = vec![
        TreeEntry {
            path: "a".parse().unwrap(),
            size: 7,
            git_blob: None,
            lfs: None,
            file: None,
        },
        TreeEntry {
            path: "b/c".parse().unwrap(),
            size: 300,
            git_blob: Some(GitBlobId::new([0x33; 20])),
            lfs: Some(Lfs {
                sha256: Sha256::new([0x44; 32]),
                pointer_size: 134,
            }),
            file: Some(FileHash::new([0x55; 32])),
        },
    ];
    let listed = Revision {
        tree: Tree::listed(entries),
        parents: Vec::new(),
        time: 1,
        title: String::new(),
        message: "\nx".into(),
        author: String::new(),
    };
    assert_eq!(vectors.len(), 2);
    for (name, revision) in [("content", &content), ("listed", &listed)] {
        assert_eq!(revision.encode().unwrap(), vectors[name], "{name}");
        assert_eq!(Revision::decode(&vectors[name]).as_ref(), Ok(revision));
    }
    assert_eq!(
        content.commit_id().unwrap().to_string(),
        "44d8e28003efe31cf49e9c8ef27b93361bc36936"
    );
}
