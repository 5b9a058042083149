//! What dissectors learn from a flow's opening: all that a signature may test.
//!
//! [`Facts`] holds what all protocols share and, boxed, a struct for each family of protocols:
//! most flows fill one or two. Each member of them is a row of [`FIELDS`], which rules, `explain`,
//! records and the count of memory go by. A new fact is a member of a struct and a row.

mod families;
mod field;
mod value;

pub use self::families::{
    Banner, Destination, Dns, Facts, Http, Mqtt, Names, Quic, Rtmp, Rtsp, Sip, Ssdp, Stun, Tls,
};
pub use self::field::{EXPLAINED, FIELDS, Family, Field, RECORDED, Tells};
pub use self::value::{Bound, Value};
impl Facts {
    /// Adds what was read behind the protocol these facts are of. Where both say something, the
    /// inside is right; what is spoken, and by whom, stays.
    pub fn absorb(&mut self, mut inside: Self) {
        for field in FIELDS {
            field.absorb(self, &mut inside);
        }
    }

    /// Bytes they take, themselves included, about.
    pub fn memory(&self) -> usize {
        let families = Family::ALL.into_iter().filter(|it| it.includes(self));
        let rows = families.flat_map(Family::rows);
        size_of::<Self>() + self.boxes() + rows.map(|row| row.heap(self)).sum::<usize>()
    }

    /// Bytes of the structs they point to.
    fn boxes(&self) -> usize {
        const fn size<T>(of: &Option<Box<T>>) -> usize {
            match of {
                Some(_) => size_of::<T>(),
                None => 0,
            }
        }
        // Named one by one, so that none is forgotten.
        let Self {
            proto: _,
            swapped: _,
            rtp_payload_type: _,
            server_name: _,
            destination,
            tls,
            quic,
            http,
            dns,
            stun,
            sip,
            rtsp,
            ssdp,
            rtmp,
            mqtt,
            banner,
        } = self;
        let lower = size(destination) + size(tls) + size(quic) + size(http) + size(dns);
        let calls = size(stun) + size(sip) + size(rtsp) + size(ssdp) + size(rtmp);
        lower + calls + size(mqtt) + size(banner)
    }

    /// What was read, by name, for people.
    pub fn described(&self) -> Vec<(&'static str, String)> {
        let mut lines = [None; EXPLAINED.len()];
        for field in FIELDS {
            if let Some(place) = field.explained
                && let Some(line @ None) = lines.get_mut(usize::from(place))
            {
                *line = field.of(self);
            }
        }
        let lines = EXPLAINED.iter().zip(lines);
        lines
            .filter_map(|(label, value)| Some(value?.described(label)))
            .collect()
    }

    /// What a record of the flow says of them, in the order of [`RECORDED`].
    pub fn recorded(&self) -> [Option<Value<'_>>; RECORDED.len()] {
        let mut record = [None; RECORDED.len()];
        let families = Family::ALL.into_iter().filter(|it| it.includes(self));
        for field in families.flat_map(Family::rows) {
            if let Some(place) = field.recorded
                && let Some(entry @ None) = record.get_mut(usize::from(place))
            {
                *entry = field.of(self);
            }
        }
        record
    }

    /// What of them goes beyond its bound: the name of its row.
    pub fn beyond_bounds(&self) -> Option<&'static str> {
        let beyond = |field: &&Field| {
            let value = field.of(self);
            value.is_some_and(|value| !value.is_within(field.bound))
        };
        FIELDS.iter().find(beyond).map(|field| field.name)
    }
}

#[cfg(test)]
mod tests;
