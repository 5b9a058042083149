//! What rows of the summary are of.

/// What rows of the summary are of: one of these, or several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Whose volume it is.
    Subject,
    /// The local network of the subject.
    Network,
    /// An application.
    #[default]
    App,
    /// A service of an application.
    Service,
    /// A category of applications.
    Category,
    /// A protocol.
    Protocol,
    /// What the name rests on.
    Evidence,
    /// The interface by which flows came in.
    Interface,
    /// A client's address: subjects are clients.
    Client,
}

impl By {
    /// Whether subjects have to be kept apart for it.
    pub const fn needs_subjects(self) -> bool {
        matches!(self, Self::Subject | Self::Network | Self::Client)
    }

    /// Whether it is of the name, and not of whose the volume is and where it came in.
    pub(super) const fn is_name(self) -> bool {
        !self.needs_subjects() && !matches!(self, Self::Interface)
    }
}
