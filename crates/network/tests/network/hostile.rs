//! Peers that break the rules.

use bytes::BytesMut;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use hubless_network::NetworkEvent;
use hubless_wire::{Body, EXCHANGE_PROTOCOL, Frame, FrameHead, Request, Response, header_len};
use libp2p::{Stream, StreamProtocol};

use crate::{common::*, mallory::Mallory};

pub fn hello() -> Vec<u8> {
    let mut bytes = BytesMut::new();
    Frame::new(0, Body::Hello).encode_head(&mut bytes);
    bytes.to_vec()
}

fn head(frame: Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame.encode_head(&mut bytes);
    bytes.to_vec()
}

/// All frames until the stream ends, without their payload, of which there must be none.
async fn frames(mut stream: Stream) -> Vec<FrameHead> {
    let mut bytes = Vec::new();
    // An error is an end too.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    frames_in(&bytes)
}

/// The first frames of a stream that goes on.
async fn first_frames(stream: &mut Stream, count: usize) -> Vec<FrameHead> {
    let mut bytes = Vec::new();
    while frames_in(&bytes).len() < count {
        let mut more = [0; 1024];
        let read = within(stream.read(&mut more)).await.unwrap();
        assert!(read > 0, "the stream ended");
        bytes.extend_from_slice(&more[..read]);
    }
    frames_in(&bytes)
}

fn frames_in(mut bytes: &[u8]) -> Vec<FrameHead> {
    let mut frames = Vec::new();
    while let Ok(Some((length, prefix))) = header_len(bytes)
        && let Some(header) = bytes.get(prefix..prefix + length)
    {
        frames.push(FrameHead::decode(header).unwrap());
        bytes = &bytes[prefix + length..];
    }
    frames
}

#[tokio::test]
async fn a_broken_rule_is_answered_by_its_name_and_the_end_of_the_connection() {
    let long_header = vec![0xff, 0xff, 0x7f];
    let garbage = vec![5, 0xff, 0xff, 0xff, 0xff, 0xff];
    let long_payload = vec![7, 8, 1, 16, 0x81, 0x80, 0x10, 0x4a];
    let ask_twice = [
        head(Frame::new(1, chunks(0, 16))),
        head(Frame::new(1, chunks(0, 16))),
    ]
    .concat();
    let answer = head(Frame::new(1, Response::NotHere));
    let cases = [
        long_header,
        garbage,
        long_payload,
        ask_twice,
        hello(),
        answer,
    ];
    for (number, case) in cases.into_iter().enumerate() {
        let victim = start_with(config(), Silent).await;
        let mut events = victim.events();
        let mut mallory = Mallory::start().await;
        let mut stream = mallory.stream_to(&victim, EXCHANGE_PROTOCOL).await;
        stream.write_all(&[hello(), case].concat()).await.unwrap();
        stream.flush().await.unwrap();
        let frames = frames(stream).await;
        let bodies: Vec<&Body> = frames.iter().map(|frame| &frame.body).collect();
        let malformed = Body::Response(Response::Malformed);
        assert_eq!(bodies, [&Body::Hello, &malformed], "case {number}");
        let violation = within(async {
            loop {
                if let NetworkEvent::Disconnected { violation, .. } = events.recv().await.unwrap() {
                    break violation;
                }
            }
        })
        .await;
        let violation = violation.expect("the reason is known");
        assert!(violation.is_violation(), "case {number}: {violation}");
    }
}

#[tokio::test]
async fn a_request_of_a_later_version_is_answered_and_the_stream_goes_on() {
    let victim = start(config()).await;
    let mut mallory = Mallory::start().await;
    let mut stream = mallory.stream_to(&victim, EXCHANGE_PROTOCOL).await;
    let asks = [
        hello(),
        head(Frame::new(1, Body::UnknownRequest)),
        head(Frame::new(
            2,
            Request::Alias(hubless_content::Sha256::new([7; 32]).into()),
        )),
    ];
    stream.write_all(&asks.concat()).await.unwrap();
    stream.flush().await.unwrap();
    let mut frames = first_frames(&mut stream, 3).await;
    frames[1..].sort_by_key(|frame| frame.id);
    let said: Vec<_> = frames.iter().map(|frame| (frame.id, &frame.body)).collect();
    let not_here = Body::Response(Response::NotHere);
    assert_eq!(said, [(0, &Body::Hello), (1, &not_here), (2, &not_here)]);
    assert_eq!(victim.peers().await.len(), 1, "no rule was broken");
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_hello_is_ended() {
    let victim = start(config()).await;
    let mut mallory = Mallory::start().await;
    let mut stream = mallory.stream_to(&victim, EXCHANGE_PROTOCOL).await;
    stream
        .write_all(&head(Frame::new(1, chunks(0, 1))))
        .await
        .unwrap();
    stream.flush().await.unwrap();
    frames(stream).await;
    until(async || victim.peers().await.is_empty()).await;
}

#[tokio::test]
async fn a_peer_that_responds_with_garbage_is_disconnected_by_the_requester() {
    let alice = start(config()).await;
    let mut mallory = Mallory::start().await;
    let mut inbound = mallory
        .control
        .accept(StreamProtocol::new(EXCHANGE_PROTOCOL))
        .unwrap();
    let answering = tokio::spawn(async move {
        let (_, mut stream) = inbound.next().await.unwrap();
        stream.write_all(&hello()).await.unwrap();
        stream.write_all(&[3, 0xff, 0xff, 0xff]).await.unwrap();
        stream.flush().await.unwrap();
        stream
    });
    let peer = within(alice.connect_to(mallory.address.clone()))
        .await
        .unwrap();
    let mut exchange = within(alice.open(peer, Vec::new())).await.unwrap();
    assert_eq!(alice.peers().await[0].lanes, 0, "it speaks of none");
    let error = within(exchange.responses.recv())
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.is_violation(), "{error}");
    assert!(within(exchange.responses.recv()).await.is_none());
    until(async || alice.peers().await.is_empty()).await;
    drop(answering.await);
}

#[tokio::test]
async fn a_node_of_something_else_is_recognized() {
    let alice = start(config()).await;
    let mallory = Mallory::start().await;
    let peer = within(alice.connect_to(mallory.address.clone()))
        .await
        .unwrap();
    let error = within(alice.open(peer, Vec::new())).await.unwrap_err();
    assert!(
        matches!(error, hubless_network::OpenError::NotSpoken { .. }),
        "{error:?}"
    );
}

/// Never responds.
pub struct Silent;

impl hubless_network::ExchangeService for Silent {
    fn respond(
        &self,
        _: hubless_network::PeerId,
        _: hubless_wire::Request,
        _: hubless_network::Reply,
    ) -> futures::future::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}
