//! Subjects of any kind, and names as tokens of subjects.
#![no_main]

use libfuzzer_sys::fuzz_target;

use prometheus_streams::bus::{Subject, escape_token, unescape_token};

fuzz_target!(|text: &str| {
    match Subject::parse(text, "prom.eu") {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(subject) => {
            let written = subject.write("prom.eu");
            assert_eq!(Subject::parse(&written, "prom.eu"), Ok(subject));
            // All but the partition, which a reader leaves to the writer, has one spelling.
            let but_partition = |subject: &str| -> Vec<String> {
                let tokens = subject.split('.').map(str::to_owned).enumerate();
                tokens
                    .filter(|(at, _)| *at != 3)
                    .map(|(_, token)| token)
                    .collect()
            };
            assert_eq!(but_partition(&written), but_partition(text));
        }
    }
    let token = escape_token(text);
    assert!(
        token
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b".*>".contains(&byte))
    );
    match unescape_token(&token) {
        Some(name) => assert_eq!(name, text),
        None => assert!(token.is_empty() || token.len() > 255),
    }
});
