//! How messages travel: libp2p event loop, DHT, discovery, streams.
