//! The text of a configuration file: a configuration, or problems that have a place.
#![no_main]

use libfuzzer_sys::fuzz_target;

use prometheus_streams::config::{Role, check};

fuzz_target!(|text: &str| {
    match check(text, "fuzz.yaml") {
        Err(problems) => {
            assert!(!problems.as_slice().is_empty());
            // Each of these ends a line of YAML.
            let breaks = text.matches(['\n', '\r']).count();
            let lines = u32::try_from(breaks).expect("it is short") + 1;
            for problem in problems.as_slice() {
                assert!(problem.line > 0 && problem.column > 0, "{problem}");
                assert!(problem.line <= lines, "{problem}");
                assert!(
                    !problem.what.is_empty() && !problem.remedy.is_empty(),
                    "{problem}"
                );
            }
            assert!(!problems.to_string().is_empty());
        }
        Ok(loaded) => {
            for role in [Role::Poller, Role::Receiver] {
                if let Err(problems) = loaded.config.require(role) {
                    assert!(!problems.as_slice().is_empty());
                }
            }
        }
    }
});
