//! What a protocol carries: where the other protocol begins behind it. [`unpack`](super::unpack) gets
//! its bytes out.

use crate::flow::{Opening, Transport};

/// Where, behind a protocol that carries another one, that other begins.
///
/// Client and server are meant as [`Facts::swapped`] corrects them. A side that is not known yet
/// shows nothing of what is inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// How many of the client's bytes come before.
    pub client: Option<u32>,
    /// How many of the server's bytes come before.
    pub server: Option<u32>,
    /// How the bytes behind carry it.
    pub framing: Framing,
}

/// How bytes carry those of another protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// They are its bytes.
    #[default]
    Plain,
    /// In packets of TDS as long as TLS shakes hands, then plain.
    Tds,
    /// In frames of WebSocket.
    WebSocket,
    /// Datagrams, each perhaps with a header of the PROXY protocol.
    ProxyDatagrams,
}

impl Inside {
    /// Another protocol may follow, but has not begun.
    pub(super) const LATER: Self = Self::plain(None, None);

    /// Plain bytes behind so many of the client and of the server.
    pub(super) const fn plain(client: Option<usize>, server: Option<usize>) -> Self {
        Self {
            client: offset(client),
            server: offset(server),
            framing: Framing::Plain,
        }
    }

    /// The same in frames.
    pub(super) const fn framed(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// Whether both sides are known: the dissector has nothing more to tell.
    pub const fn is_known(self) -> bool {
        self.client.is_some() && self.server.is_some()
    }
}

const fn offset(offset: Option<usize>) -> Option<u32> {
    match offset {
        Some(offset) if offset <= u32::MAX as usize => Some(offset as u32),
        _ => None,
    }
}

/// Whether datagrams carry it.
pub(super) fn is_datagrams(opening: &Opening<'_>) -> bool {
    opening.transport == Transport::Udp
}
