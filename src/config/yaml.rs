//! The tree of a configuration file, with what is wrong with its text in the report.

use std::rc::Rc;

pub(super) use crate::yaml::{Entry, Kind, Node};

use super::problem::{Place, Report};
use crate::yaml;

/// Reads one document; `None`, with a problem recorded, if there is none that can be read.
pub(super) fn parse(text: &str, report: &mut Report) -> Option<Rc<Node>> {
    let document = yaml::parse(text);
    let is_empty = document.root.is_none() && document.faults.is_empty();
    for fault in document.faults {
        report.problem(&Place::root().at(fault.at), fault.what, fault.remedy);
    }
    if is_empty {
        let remedy = "write at least a stream and, for a poller, `jobs`";
        report.problem(&Place::root(), "the file is empty", remedy);
    }
    document.root
}
