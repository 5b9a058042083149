//! Names by behaviour: what a site's own flows with proven names look like, as a small forest that
//! `ottometer learn --train` trains, asked for flows that show an encrypted hello and nothing else.
//!
//! It is the weakest of all evidence: a flow that looks like others need not be one of them. [`Forest`]
//! keeps silent unless enough of its trees agree, by a bound for each application that was chosen on flows
//! kept aside.

pub mod features;
pub mod model;

use std::sync::Arc;

use self::features::Features;
use self::model::Forest;
use super::Named;
use crate::app::{AppId, Proto};
use crate::dissect::{Facts, Names};
use crate::flow::sequence::Sided;
use crate::signature::SignatureSet;
use crate::verdict::Evidence;

/// A forest in use: what it calls applications, as the signature set numbers them.
#[derive(Clone, Debug)]
pub struct Behaviour {
    forest: Arc<Forest>,
    /// The application of each class; none where the set knows none of that name.
    apps: Arc<[Option<AppId>]>,
}

impl Behaviour {
    /// Of `forest`, whose applications are those of `set`.
    pub fn new(forest: Forest, set: &SignatureSet) -> Self {
        let classes = forest.classes().iter();
        let apps = classes.map(|class| set.catalog().app_named(&class.name));
        Self {
            apps: apps.collect(),
            forest: Arc::new(forest),
        }
    }

    /// Applications that the forest may name and the signature set does not know.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let classes = self.forest.classes().iter().zip(self.apps.iter());
        classes
            .filter(|(class, app)| app.is_none() && class.speaks())
            .map(|(class, _)| &*class.name)
    }

    /// Bytes it takes.
    pub fn memory(&self) -> usize {
        self.forest.memory() + size_of_val(&*self.apps)
    }

    /// Whose flow it is that begins so, if that is sure enough. `votes` has room for the trees' votes.
    pub(super) fn name(
        &self,
        sequence: Sided<'_>,
        transport: u8,
        port: u16,
        votes: &mut Vec<f32>,
    ) -> Option<AppId> {
        let features = Features::of(sequence, transport, port)?;
        let class = self.forest.decide(&features, votes)?;
        self.apps.get(class).copied().flatten()
    }
}

/// Whether a flow has shown the hello of an encrypted protocol and nothing that says whose it is.
pub fn shows_hello_only(names: &Named, facts: Option<&Facts>) -> bool {
    let is_placeholder = names.evidence == Some(Evidence::OuterName);
    (names.app.is_none() || is_placeholder)
        && is_encrypted(names.proto)
        && facts.is_some_and(|facts| {
            let has_name = facts.server_name.is_some() && !is_placeholder;
            let tls = facts.tls.as_deref();
            !has_name
                && tls.is_some_and(|tls| tls.ja4.is_some() && tls.certificate == Names::default())
        })
}

/// Whether a flow is one to learn from: its hello was seen, and what it carries is encrypted.
pub fn may_teach(names: &Named, facts: Option<&Facts>) -> bool {
    let tls = facts.and_then(|facts| facts.tls.as_deref());
    is_encrypted(names.proto) && tls.is_some_and(|tls| tls.ja4.is_some())
}

fn is_encrypted(proto: Option<Proto>) -> bool {
    matches!(proto, Some(Proto::TLS | Proto::QUIC))
}
