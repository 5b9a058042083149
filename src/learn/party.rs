//! Who is named in a certificate.

/// Who is named in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// By the name of an organisation.
    Organisation(String),
    /// By a common name, where no organisation is named.
    Common(String),
}

impl Party {
    /// The one of these names that there is.
    pub(super) fn of(organisation: Option<&str>, common: Option<&str>) -> Option<Self> {
        let organisation = organisation.map(|name| Self::Organisation(name.to_owned()));
        organisation.or_else(|| common.map(|name| Self::Common(name.to_owned())))
    }

    /// The name.
    pub fn name(&self) -> &str {
        let (Self::Organisation(name) | Self::Common(name)) = self;
        name
    }
}
