//! TLS over TCP (RFC 8446, RFC 5246).

mod client_hello;
mod ja4;

pub(crate) use client_hello::{
    CLIENT_HELLO, HelloOver, HelloRead, read_client_hello, read_cut_client_hello,
};
