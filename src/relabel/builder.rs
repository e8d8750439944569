//! A set of labels that can change.

use crate::model::Labels;

/// Labels while rules are applied to them: sorted by name, each name once, no value empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builder(Vec<(String, String)>);

impl Builder {
    /// Takes pairs in any order; of two with one name the last wins.
    pub fn new(pairs: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let mut builder = Self::default();
        for (name, value) in pairs {
            builder.put(name.into(), value.into());
        }
        builder
    }

    /// Takes the labels of a finished set.
    pub fn from_labels(labels: &Labels) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(labels.iter().map(own).collect())
    }

    /// Returns the value of a label; a missing one has an empty value.
    pub fn get(&self, name: &str) -> &str {
        match self.find(name) {
            Ok(at) => self.0.get(at).map_or("", |(_, value)| value),
            Err(_) => "",
        }
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        self.put(name.to_owned(), value.to_owned());
    }

    /// Sets a label that is not there.
    pub fn set_default(&mut self, name: &str, value: &str) {
        if self.get(name).is_empty() {
            self.set(name, value);
        }
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    /// Keeps the labels whose name is good.
    pub fn retain(&mut self, mut is_good: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| is_good(name));
    }

    /// Iterates over the labels, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns the finished set.
    pub fn to_labels(&self) -> Labels {
        Labels::new(self.iter())
    }

    fn put(&mut self, name: String, value: String) {
        match self.find(&name) {
            Ok(at) if value.is_empty() => {
                self.0.remove(at);
            }
            Ok(at) => {
                if let Some(pair) = self.0.get_mut(at) {
                    pair.1 = value;
                }
            }
            // A label without a name is none: nothing downstream could take it.
            Err(_) if value.is_empty() || name.is_empty() => {}
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0
            .binary_search_by(|(known, _)| known.as_str().cmp(name))
    }
}
