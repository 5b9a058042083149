//! What a dissector is: its row in the table of the folder, and what it answers.

use super::facts::Facts;
use super::inside::Inside;
use crate::flow::Opening;

/// What a dissector says of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not this protocol, whatever follows: the dissector is not asked again. After
    /// [`Outcome::Partial`]: nothing more can be read, and what was read stays.
    NotMine,
    /// Too few bytes to tell.
    NeedMore,
    /// This protocol for sure; `Facts` may grow, so ask again (only this dissector) when more came.
    Partial,
    /// The same, and all that has come is read: that no more comes would change nothing in `Facts`.
    UpToDate,
    /// This protocol for sure, and there is nothing more to learn from the opening.
    Done,
    /// This protocol for sure, and another one begins behind it, or may: what is inside is read as
    /// an opening of its own, and until then no name is final. Asked again, as after
    /// [`Outcome::Partial`], as long as it has not told where each side's part of the other begins.
    Wraps(Inside),
}

impl Outcome {
    /// Whether the dissector recognised its protocol.
    pub const fn is_sure(self) -> bool {
        matches!(
            self,
            Self::Partial | Self::UpToDate | Self::Done | Self::Wraps(_)
        )
    }
}

/// The transports a dissector wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Over {
    Tcp,
    Udp,
    TcpAndUdp,
}

/// What of a TCP flow a dissector is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Middle {
    /// The streams from the first byte seen on, by who seems to have opened the connection.
    AsSeen,
    /// Where the flow's beginning was not seen or is junk: as well the streams from any of their
    /// first segments on, by either end as the client. For checks of at least 48 fixed bits, or of
    /// lengths that agree.
    Strong,
}

/// A row of [`DISSECTORS`](super::DISSECTORS).
#[derive(Clone, Copy, Debug)]
pub struct Dissector {
    /// The name `explain` prints and fuzz targets go by: that of the file.
    pub name: &'static str,
    /// Which openings it is shown.
    pub over: Over,
    /// What of a TCP flow it is shown.
    pub middle: Middle,
    /// Another protocol may begin behind it: it may answer [`Outcome::Wraps`].
    pub wraps: bool,
    /// Reads an opening. Must be cheap on the first byte that is not its protocol's, must not
    /// panic or allocate without bound on any bytes, and sets `Facts::proto` when its answer
    /// [is sure](Outcome::is_sure). It must not change `Facts` when it answers anything else.
    pub dissect: fn(&Opening<'_>, &mut Facts) -> Outcome,
}

/// A row without more to say.
pub(super) const fn row(
    name: &'static str,
    over: Over,
    dissect: fn(&Opening<'_>, &mut Facts) -> Outcome,
) -> Dissector {
    Dissector {
        name,
        over,
        middle: Middle::AsSeen,
        wraps: false,
        dissect,
    }
}

/// A row whose check is strong enough for any message.
pub(super) const fn strong(
    name: &'static str,
    over: Over,
    dissect: fn(&Opening<'_>, &mut Facts) -> Outcome,
) -> Dissector {
    Dissector {
        middle: Middle::Strong,
        ..row(name, over, dissect)
    }
}

impl Dissector {
    /// Another protocol may begin behind it.
    pub(super) const fn wrapping(self) -> Self {
        Self {
            wraps: true,
            ..self
        }
    }
}

/// What rows are asked for.
#[derive(Clone, Copy)]
pub(super) enum Trait {
    OverTcp,
    OverUdp,
    StrongInTheMiddle,
    Wrapping,
}

/// The bits, by place, of the rows of which it is so.
pub(super) const fn bits(rows: &[Dissector], wanted: Trait) -> u64 {
    let [first, rest @ ..] = rows else {
        return 0;
    };
    let mine = match wanted {
        Trait::OverTcp => matches!(first.over, Over::Tcp | Over::TcpAndUdp),
        Trait::OverUdp => matches!(first.over, Over::Udp | Over::TcpAndUdp),
        Trait::StrongInTheMiddle => matches!(first.middle, Middle::Strong),
        Trait::Wrapping => first.wraps,
    };
    mine as u64 | bits(rest, wanted) << 1
}
