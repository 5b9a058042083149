//! The settings file of a live run, `ottometer.toml`: made of each stage's own settings.
