//! What a live run may do: checked before the capture is opened, given up after.
