//! The kinds of applications, each a folder of the project's signatures.
//!
//! A site's own files may be of further ones: for the program a category is a name.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Every category of the project's own files, and what belongs there; in the order of their slugs.
pub const CATEGORIES: [(&str, &str); 34] = [
    ("ads", "advertising: exchanges, networks, attribution"),
    ("adult", "for adults only"),
    ("ai", "assistants and models: chat, search, pictures"),
    ("cloud", "storage, hosting, content delivery"),
    ("conferencing", "meetings and webinars"),
    ("education", "schools, courses, learning"),
    ("file-transfer", "sending files"),
    ("finance", "banks, brokers, exchanges, insurance"),
    ("food", "ordering and delivery of meals and groceries"),
    ("gaming", "games, their stores and platforms"),
    ("government", "public authorities and their services"),
    ("health", "medicine, pharmacies, fitness"),
    ("iot", "devices and what they speak to"),
    ("mail", "mail"),
    ("maps", "maps and navigation"),
    ("messaging", "chat between people"),
    ("music", "music, radio, podcasts"),
    ("network", "resolvers, time, certificates, measurement"),
    ("news", "news and magazines"),
    ("other", "what is of no other kind"),
    ("p2p", "peer-to-peer exchange of files"),
    ("payment", "payment services, wallets, card networks"),
    ("productivity", "office, design, development, business"),
    ("remote-access", "remote desktops and support"),
    ("ride-hailing", "rides, cars, scooters"),
    ("shopping", "shops and marketplaces"),
    ("social", "networks of people, forums, dating"),
    (
        "system",
        "operating systems: updates, push, security, app stores",
    ),
    ("telemetry", "analytics, crash reports, monitoring"),
    ("travel", "flights, trains, hotels, trips"),
    ("video", "video and television, live and on demand"),
    ("voip", "telephony"),
    ("vpn", "tunnels and proxies"),
    ("web", "portals, search engines, a group's common hosts"),
];

/// Whether `slug` is one of [`CATEGORIES`].
pub fn is_known(slug: &str) -> bool {
    CATEGORIES.iter().any(|&(known, _)| known == slug)
}

/// One of [`CATEGORIES`], which editors complete, or a site's own.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "anyOf": [
            { "enum": CATEGORIES.map(|(slug, _)| slug).to_vec() },
            { "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 64 },
        ],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::signature::{builtin_files, compile::is_slug, list};

    #[test]
    fn categories_are_slugs_in_order() {
        for (slug, meaning) in CATEGORIES {
            assert!(is_slug(slug) && !meaning.is_empty(), "{slug}");
            assert!(is_known(slug), "{slug}");
        }
        assert!(CATEGORIES.is_sorted());
        assert!(!is_known("protocol"));
    }

    #[test]
    fn built_in_applications_are_of_them() {
        let used: BTreeSet<String> = list(&builtin_files())
            .into_iter()
            .filter(|row| row.id.is_some())
            .map(|row| row.category)
            .collect();
        let unknown: Vec<_> = used.iter().filter(|slug| !is_known(slug)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn the_manual_lists_them() {
        let manual = include_str!("../../docs/signatures.md");
        let rows: Vec<_> = manual
            .lines()
            .skip_while(|line| *line != "| category | what |")
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let expected: Vec<_> = CATEGORIES
            .iter()
            .map(|(slug, meaning)| format!("| `{slug}` | {meaning} |"))
            .collect();
        assert_eq!(rows, expected);
    }
}
