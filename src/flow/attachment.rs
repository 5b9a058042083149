//! What is kept with a flow, as far as the table and the flow ask.

/// What the stages after this one keep with a flow.
pub trait Attachment: Default {
    /// Nothing more is to be read in the flow's opening.
    fn is_settled(&self) -> bool;

    /// Bytes on the heap, about: what was read in the opening, or is kept for the record.
    fn memory(&self) -> usize;
}

#[cfg(test)]
mod samples {
    use super::Attachment;

    /// Of flows that are counted only.
    impl Attachment for () {
        fn is_settled(&self) -> bool {
            true
        }

        fn memory(&self) -> usize {
            0
        }
    }

    /// Set once the flow has settled.
    impl Attachment for bool {
        fn is_settled(&self) -> bool {
            *self
        }

        fn memory(&self) -> usize {
            0
        }
    }

    /// What a flow that never settles has shown.
    impl Attachment for [Vec<u8>; 2] {
        fn is_settled(&self) -> bool {
            false
        }

        fn memory(&self) -> usize {
            0
        }
    }
}
