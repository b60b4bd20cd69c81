//! The feed loses nothing.
