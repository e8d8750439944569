//! The text formats (to be written).
