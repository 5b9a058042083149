//! What comes first in the panes.

/// What comes first of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum RowSort {
    #[default]
    Rate,
    Total,
}

impl RowSort {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Rate => Self::Total,
            Self::Total => Self::Rate,
        }
    }
}

/// What comes first of flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FlowSort {
    #[default]
    Latest,
    Bytes,
}

impl FlowSort {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Latest => Self::Bytes,
            Self::Bytes => Self::Latest,
        }
    }
}
