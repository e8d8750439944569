//! When and how to scrape (to be described).

mod settings;

pub use settings::{Settings, Target};
