//! What the sequence numbers of a TCP connection say: where its streams begin, which RST and FIN
//! end it, and which of two connections between the same sockets a segment belongs to.
//!
//! A receiver takes an RST at exactly the number it expects next, or, before the connection stands,
//! one that acknowledges its SYN (RFC 9293 section 3.10.7, RFC 5961 section 3); it takes a FIN where
//! the stream has come to it. Whoever only listens knows what a receiver expects from what went by:
//! the highest number sent, the latest one acknowledged, the window. What cannot be checked, since the
//! beginning or one direction was not captured, is accepted.
//!
//! An RST or FIN can be right and come to nothing all the same (it never arrived, or the receiver
//! had more to check than can be seen): who says something new after it has not ended.

use super::key::End;
use crate::decode::TcpSegment;

/// The largest window there is (RFC 7323 section 2.3).
const LARGEST_WINDOW: u32 = 1 << 30;

/// What a window is taken for at least: captures are made that do without one.
const LEAST_WINDOW: u32 = 1 << 16;

/// After so many segments in a row that nobody was ready to take, it was the listener who missed
/// something.
const STRAYS: u8 = 8;

/// How far a segment may be from the numbers of the connection it is held to belong to.
const NEAR: u32 = 1 << 20;

/// Set where `next` is known.
const SENT: u8 = 1;
/// Set where `acknowledged` and `edge` are known.
const ACKNOWLEDGED: u8 = 1 << 1;
/// Set where `start` is known.
const STARTED: u8 = 1 << 2;
/// Its SYN was seen.
const SYN: u8 = 1 << 3;
/// A payload was seen.
const DATA: u8 = 1 << 4;
/// Its FIN was seen; `edge` is the number behind it.
const FIN: u8 = 1 << 5;
/// Its stream has come to the FIN.
const ENDED: u8 = 1 << 6;
/// An RST was accepted.
const RST: u8 = 1 << 7;

/// The numbers of what one end sends.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// Of the first octet of its stream.
    start: u32,
    /// Behind the highest one sent.
    next: u32,
    /// What the other end expects, as it said last.
    acknowledged: u32,
    /// Behind what the other end is ready to take.
    edge: u32,
    marks: u8,
    /// What the windows it announces are scaled by; as far as can be where that was not seen.
    scale: u8,
    /// Segments in a row that were out of the window.
    strays: u8,
    /// It does not scale windows, so that the other may not.
    unscaled: bool,
}

impl Numbers {
    const UNKNOWN: Self = Self {
        start: 0,
        next: 0,
        acknowledged: 0,
        edge: 0,
        marks: 0,
        scale: TcpSegment::MAX_WINDOW_SCALE,
        strays: 0,
        unscaled: false,
    };

    #[inline]
    const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Whether the other end may take a segment that begins at `sequence`.
    #[inline]
    const fn reaches(&self, sequence: u32) -> bool {
        if self.has(ACKNOWLEDGED) {
            ahead(sequence, self.edge) <= 0
        } else {
            ahead(sequence, self.next) <= LARGEST_WINDOW.cast_signed()
        }
    }

    /// The other end expects `number`, and takes `window` octets from there.
    #[inline]
    fn acknowledge(&mut self, number: u32, window: u32) {
        if !self.has(SENT) {
            self.next = number;
            self.marks |= SENT;
        }
        let beyond = ahead(number, self.next);
        if beyond.unsigned_abs() > LARGEST_WINDOW {
            return;
        }
        if beyond > 0 {
            // It got what was not captured.
            self.next = number;
        }
        if !self.has(ACKNOWLEDGED) || ahead(number, self.acknowledged) >= 0 {
            self.acknowledged = number;
            self.marks |= ACKNOWLEDGED;
            if !self.has(FIN) {
                self.edge = number.wrapping_add(window.max(LEAST_WINDOW));
            }
        }
    }

    /// A segment that nobody was ready to take.
    #[cold]
    const fn stray(&mut self, next: u32) {
        self.strays += 1;
        if self.strays >= STRAYS {
            self.strays = 0;
            self.next = next;
            self.marks &= !(ACKNOWLEDGED | FIN | ENDED);
        }
    }

    /// Looks whether the stream has come to its FIN, or went on beyond it.
    const fn look_for_end(&mut self) {
        if !self.has(FIN) {
            return;
        }
        match ahead(self.next, self.edge) {
            -1 | 0 => {
                self.next = self.edge;
                self.marks |= ENDED;
            }
            // Nobody took that FIN.
            1.. => {
                self.marks &= !(FIN | ENDED);
                self.edge = self.next.wrapping_add(LEAST_WINDOW);
            }
            _ => {}
        }
    }
}

/// How far `a` is ahead of `b` (RFC 9293 section 3.4).
#[inline]
const fn ahead(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// How far numbers are apart.
const fn distance(a: u32, b: u32) -> u32 {
    ahead(a, b).unsigned_abs()
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tcp {
    /// Of the low end and of the high one.
    ends: [Numbers; 2],
    /// A SYN was answered by one that acknowledges it.
    answered: bool,
    /// Who sent the SYN has sent an ACK since, or no SYN was seen.
    stands: bool,
    /// There were SYNs with different numbers, of which one counts.
    moved: bool,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            ends: [Numbers::UNKNOWN; 2],
            answered: false,
            stands: false,
            moved: false,
        }
    }
}

impl Tcp {
    /// Both sides have said FIN, or one RST.
    pub(super) const fn is_closed(&self) -> bool {
        self.is_reset() || self.ends[0].has(ENDED) && self.ends[1].has(ENDED)
    }

    /// One side has said RST.
    pub(super) const fn is_reset(&self) -> bool {
        (self.ends[0].marks | self.ends[1].marks) & RST != 0
    }

    /// What this end sends has come to its FIN.
    pub(super) const fn has_ended(&self, end: End) -> bool {
        self.of(end).has(ENDED)
    }

    /// Whether either end has sent a payload.
    pub(super) const fn has_data(&self) -> bool {
        (self.ends[0].marks | self.ends[1].marks) & DATA != 0
    }

    /// Whether a SYN was seen.
    pub(super) const fn has_syn(&self) -> bool {
        (self.ends[0].marks | self.ends[1].marks) & SYN != 0
    }

    /// The three-way handshake is over, or was before the first segment seen.
    pub(super) const fn stands(&self) -> bool {
        self.stands
    }

    /// Where the stream of `end` begins, if its SYN was seen or acknowledged.
    pub(super) fn start(&self, end: End) -> Option<u32> {
        let numbers = self.of(end);
        numbers.has(STARTED).then_some(numbers.start)
    }

    /// Whether `segment` is a SYN of `end` that was seen before.
    pub(super) fn is_known_syn(&self, end: End, segment: &TcpSegment) -> bool {
        let numbers = self.of(end);
        numbers.has(SYN) && numbers.start == segment.sequence.wrapping_add(1)
    }

    /// Whether the SYN of `end` acknowledges the one of the other end.
    pub(super) fn is_answered_by(&self, end: End, segment: &TcpSegment) -> bool {
        let other = self.of(!end);
        other.has(SYN)
            && (distance(segment.acknowledgement, other.start) == 0
                || segment.acknowledgement == other.next)
    }

    /// There were SYNs with different numbers.
    pub(super) const fn has_moved(&self) -> bool {
        self.moved
    }

    /// Whether a SYN with other numbers than those of before only moves the beginning: nothing has
    /// been said yet.
    pub(super) const fn may_move(&self) -> bool {
        !(self.has_data() || self.answered && self.stands)
    }

    /// Whether a segment of `end` belongs to this connection rather than to `other` between the
    /// same sockets, by its numbers.
    pub(super) fn fits_better(&self, other: &Self, end: End, segment: &TcpSegment) -> bool {
        let by_sequence = self.of(end).has(SENT);
        let apart = |tcp: &Self| {
            let (numbers, number) = match by_sequence {
                true => (tcp.of(end), segment.sequence),
                false => (tcp.of(!end), segment.acknowledgement),
            };
            match numbers.has(SENT) {
                true => distance(number, numbers.next),
                false => u32::MAX,
            }
        };
        let mine = apart(self);
        (by_sequence || segment.has(TcpSegment::ACK)) && mine <= NEAR && mine < apart(other)
    }

    /// Takes a segment of `end` with `len` octets of payload.
    #[inline(always)]
    pub(super) fn take(&mut self, end: End, segment: &TcpSegment, len: u32) {
        const CONTROL: u8 = TcpSegment::SYN | TcpSegment::FIN | TcpSegment::RST;
        let marks = self.ends[0].marks | self.ends[1].marks;
        if self.stands && segment.flags & CONTROL == 0 && marks & (FIN | RST) == 0 {
            self.pass(end, segment, len);
        } else {
            self.judge(end, segment, len);
        }
    }

    /// Takes a segment without SYN, FIN and RST. Returns whether the other end may have taken it.
    #[inline(always)]
    fn pass(&mut self, end: End, segment: &TcpSegment, len: u32) -> bool {
        let [me, other] = self.pair(end);
        let last = segment.sequence.wrapping_add(len);
        if me.has(SENT) {
            match ahead(last, me.next) {
                1.. if me.reaches(segment.sequence) => me.next = last,
                ahead if ahead <= 0 && ahead.unsigned_abs() <= LARGEST_WINDOW => {}
                _ => {
                    me.stray(last);
                    return false;
                }
            }
        } else {
            me.next = last;
        }
        me.strays = 0;
        me.marks |= SENT | if len > 0 { DATA } else { 0 };
        if segment.has(TcpSegment::ACK) {
            other.acknowledge(
                segment.acknowledgement,
                u32::from(segment.window) << me.scale,
            );
        }
        true
    }

    #[cold]
    fn judge(&mut self, end: End, segment: &TcpSegment, len: u32) {
        if segment.has(TcpSegment::RST) {
            self.reset(end, segment);
        } else if segment.has(TcpSegment::SYN) {
            self.synchronize(end, segment, len);
        } else {
            self.proceed(end, segment, len);
        }
    }

    /// A SYN of `end` waits for its answer.
    const fn is_asked_by(&self, end: End) -> bool {
        self.of(end).has(SYN) && !self.answered && !self.stands
    }

    /// Whether a segment from the other side acknowledges the SYN of `asker`.
    fn acknowledges_syn(&self, asker: End, segment: &TcpSegment) -> bool {
        let numbers = self.of(asker);
        segment.has(TcpSegment::ACK)
            && ahead(segment.acknowledgement, numbers.start) >= 0
            && ahead(segment.acknowledgement, numbers.next) <= 0
    }

    fn reset(&mut self, end: End, segment: &TcpSegment) {
        let me = self.of(end);
        let is_good = if self.is_asked_by(!end) && !me.has(SYN) {
            self.acknowledges_syn(!end, segment)
        } else {
            let expected = [
                (SENT, me.next),
                (ACKNOWLEDGED, me.acknowledged),
                (FIN, me.edge),
                (FIN, me.edge.wrapping_sub(1)),
            ];
            me.marks & (SENT | ACKNOWLEDGED) == 0
                || expected
                    .iter()
                    .any(|&(mark, number)| me.has(mark) && segment.sequence == number)
        };
        if is_good {
            self.pair(end)[0].marks |= RST;
        }
    }

    fn synchronize(&mut self, end: End, segment: &TcpSegment, len: u32) {
        let start = segment.sequence.wrapping_add(1);
        let answers = segment.has(TcpSegment::ACK);
        let was_moved = self.moved;
        if self.is_known_syn(end, segment) {
            let [me, _] = self.pair(end);
            let last = start.wrapping_add(len);
            if ahead(last, me.next) > 0 {
                me.next = last;
            }
        } else {
            let [me, other] = self.pair(end);
            let has_moved = me.has(SYN);
            if answers && other.has(SYN) {
                // Which of several SYNs it answers is what it says; else a receiver drops it.
                let fits = ahead(segment.acknowledgement, other.start) >= 0
                    && ahead(segment.acknowledgement, other.next) <= 0;
                if !(fits || was_moved && !other.has(DATA)) {
                    return;
                }
            }
            if !(answers || other.has(SYN) && !me.has(SYN)) {
                // Whatever came before belongs to another attempt. Not so where both ask at once
                // (RFC 9293 section 3.5).
                *other = Numbers::UNKNOWN;
                self.answered = false;
                self.stands = false;
            }
            let [me, other] = self.pair(end);
            *me = Numbers {
                start,
                next: start.wrapping_add(len),
                marks: SENT | STARTED | SYN | if len > 0 { DATA } else { 0 },
                ..Numbers::UNKNOWN
            };
            // RFC 7323 section 2.2: only if both say so.
            me.scale = segment.window_scale.unwrap_or(0);
            me.unscaled = segment.window_scale.is_none();
            if other.has(SYN) && (me.unscaled || other.unscaled) {
                (me.scale, other.scale) = (0, 0);
            }
            self.moved |= has_moved;
        }
        let [me, other] = self.pair(end);
        me.marks &= !RST;
        if answers {
            if !other.has(DATA) {
                other.start = segment.acknowledgement;
                other.next = segment.acknowledgement;
                other.marks |= STARTED | SENT;
            }
            other.acknowledge(segment.acknowledgement, u32::from(segment.window));
            self.answered = true;
        }
    }

    fn proceed(&mut self, end: End, segment: &TcpSegment, len: u32) {
        let other_asks = self.is_asked_by(!end) && !self.of(end).has(SYN);
        if other_asks && !self.acknowledges_syn(!end, segment) {
            return;
        }
        if self.ends.iter().all(|numbers| !numbers.has(SYN))
            || self.of(end).has(SYN) && segment.has(TcpSegment::ACK)
        {
            self.stands = true;
        }
        let (answered, moved) = (self.answered, self.moved);
        let [me, other] = self.pair(end);
        let is_far = distance(segment.sequence, me.start) > NEAR;
        if moved && !answered && me.has(SYN) && !me.has(DATA) && is_far {
            // Of several SYNs it was another one.
            me.start = segment.sequence;
            me.next = segment.sequence;
        }
        let before = *me;
        let last = segment.sequence.wrapping_add(len);
        let other_before = *other;
        // RFC 9293 section 3.10.7.3: in SYN-SENT its place cannot be checked.
        let ends = segment.has(TcpSegment::FIN) && !other_asks;
        let gap = before.has(SENT) && ahead(segment.sequence, before.next) > 0;
        if ends && gap {
            if !before.reaches(segment.sequence) {
                return;
            }
            // It counts when what is missing has come.
            me.marks |= if len > 0 { DATA } else { 0 };
            if segment.has(TcpSegment::ACK) {
                let window = u32::from(segment.window) << me.scale;
                other.acknowledge(segment.acknowledgement, window);
            }
        } else if !self.pass(end, segment, len) {
            return;
        }
        let [me, other] = self.pair(end);
        if me.has(RST) {
            let is_new = len > 0 && (!before.has(SENT) || ahead(last, before.next) > 0);
            let takes = other_before.has(ACKNOWLEDGED)
                && ahead(other.acknowledged, other_before.acknowledged) > 0;
            if is_new || takes {
                me.marks &= !RST;
            }
        }
        if ends && ahead(last.wrapping_add(1), me.next) >= 0 && !me.has(ENDED) {
            me.marks |= FIN;
            me.edge = last.wrapping_add(1);
        }
        me.look_for_end();
        other.look_for_end();
    }

    const fn of(&self, end: End) -> &Numbers {
        match end {
            End::Low => &self.ends[0],
            End::High => &self.ends[1],
        }
    }

    /// The numbers of `end`, and those of the other.
    #[inline]
    const fn pair(&mut self, end: End) -> [&mut Numbers; 2] {
        let [low, high] = &mut self.ends;
        match end {
            End::Low => [low, high],
            End::High => [high, low],
        }
    }
}
