//! What rows of the summary are of, and whose volume is counted, as `read` and `live` take them.

use std::sync::Arc;

use clap::ValueEnum;

use crate::usage::Subjects;
use crate::usage::subject::End;
use crate::view::summary;

/// What rows of the summary are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    /// Whose volume it is: the address inside one's own networks (--local), else the client's.
    Subject,
    /// The local network of the subject.
    Network,
    /// Application.
    App,
    /// Service inside an application.
    Service,
    /// Category of applications.
    Category,
    /// Protocol.
    Protocol,
    /// What the name rests on.
    Evidence,
    /// The interface by which the first packet of a flow came in; of captures what pcapng calls it, else the file.
    Interface,
    /// Client address, and application if nothing else is given.
    Client,
}

impl From<By> for summary::By {
    fn from(by: By) -> Self {
        match by {
            By::Subject => Self::Subject,
            By::Network => Self::Network,
            By::App => Self::App,
            By::Service => Self::Service,
            By::Category => Self::Category,
            By::Protocol => Self::Protocol,
            By::Evidence => Self::Evidence,
            By::Interface => Self::Interface,
            By::Client => Self::Client,
        }
    }
}

/// `by` as the summary takes it.
///
/// # Errors
///
/// What does not go together.
pub(super) fn checked(by: &[By]) -> Result<Vec<summary::By>, String> {
    for (place, one) in by.iter().enumerate() {
        if by.iter().take(place).any(|other| other == one) {
            let name = one.to_possible_value();
            let name = name.as_ref().map_or("", |name| name.get_name());
            return Err(format!("--by: `{name}` is given twice"));
        }
    }
    let has = |one| by.contains(&one);
    if has(By::Client) && (has(By::Subject) || has(By::Network)) {
        return Err(
            "--by: with `client` the subject is the client: it does not go with `subject` or \
             `network`"
                .to_owned(),
        );
    }
    let mut by: Vec<summary::By> = by.iter().map(|&by| by.into()).collect();
    if by == [summary::By::Client] {
        by.push(summary::By::App);
    }
    Ok(by)
}

/// How subjects are found for a summary `by` these: nothing, where none are asked for.
pub(super) fn subjects(by: &[summary::By], networks: &Subjects) -> Option<Arc<Subjects>> {
    let subjects = match by.iter().find(|by| by.needs_subjects())? {
        // As they are, whatever networks are one's own.
        summary::By::Client => Subjects {
            end: End::Client,
            ipv4_prefix: 32,
            ipv6_prefix: 128,
            ..networks.clone()
        },
        _ => networks.clone(),
    };
    Some(Arc::new(subjects))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (by, expected) in [
            (&[By::App, By::App][..], "`app` is given twice"),
            (&[By::Client, By::Subject], "the subject is the client"),
            (
                &[By::Network, By::App, By::Client],
                "the subject is the client",
            ),
        ] {
            let refusal = checked(by).unwrap_err();
            assert!(refusal.contains(expected), "{refusal}");
        }
        let client = checked(&[By::Client]).unwrap();
        assert_eq!(client, [summary::By::Client, summary::By::App]);
        let networks = Subjects::default();
        assert_eq!(subjects(&client, &networks).unwrap().end, End::Client);
        assert_eq!(subjects(&[summary::By::App], &networks), None);
    }
}
