//! Stage 6, `signatures/*/*.toml` to matchers: [`SignatureSet`].
//!
//! The language is described in `docs/signatures.md`. A set is compiled once at start and is
//! read-only after that; matchers answer with [`Tag`]s and `classify` decides between them.

mod check;
mod condition;
mod diagnostic;
pub mod file;
mod glob;
mod pattern;
mod source;

pub use check::check;
pub use condition::SyntaxError;
pub use diagnostic::{Diagnostic, Severity};
pub use source::{SourceFile, builtin_files, files_in};

use std::net::IpAddr;

use crate::app::Catalog;
use crate::dissect::Facts;
use crate::flow::{Opening, Transport};
use crate::verdict::{RuleId, Tag};

/// All rules, compiled.
#[derive(Debug, Default)]
pub struct SignatureSet {
    catalog: Catalog,
}

impl SignatureSet {
    /// The names of this set.
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// SHA-256 over all files of the set, in hex: records carry it.
    pub fn hash(&self) -> &str {
        ""
    }

    /// The rule's name as records carry it: `wechat/domain:weixin.qq.com`.
    pub fn rule_name(&self, _rule: RuleId) -> &str {
        ""
    }

    /// How strong a pattern the rule is, to break ties inside one class: labels of a suffix, fixed bytes of a pattern.
    pub fn rule_weight(&self, _rule: RuleId) -> u16 {
        0
    }

    /// The longest domain rule that `name` falls under. `name` is lower case, without a trailing dot.
    pub fn by_name(&self, _name: &str) -> Option<Tag> {
        None
    }

    /// The address rule of the longest prefix around `address` that may name a flow (not a shared one).
    pub fn by_address(&self, _address: IpAddr) -> Option<Tag> {
        None
    }

    /// The port rule for a flow towards `port`.
    pub fn by_port(&self, _transport: Transport, _port: u16) -> Option<Tag> {
        None
    }

    /// Payload rules the newest message of `opening` makes true. `known` is the protocol dissectors found, if any.
    pub fn by_payload(&self, _opening: &Opening<'_>, _found: &mut Vec<Tag>) {}

    /// Rules over what dissectors read: http, tls, stun, sip, proto, certificate names.
    pub fn by_facts(&self, _opening: &Opening<'_>, _facts: &Facts, _found: &mut Vec<Tag>) {}

    /// Rules over what the flow does; asked when a message arrives and nothing better is known.
    pub fn by_flow(&self, _opening: &Opening<'_>, _found: &mut Vec<Tag>) {}
}
