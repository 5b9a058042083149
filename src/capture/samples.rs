//! Capture files made by hand, for the tests of this stage.
